// What the agent has on its disk: leases, outbox, audit trail.
import type { MessageShape } from "@bufbuild/protobuf";
import { type DeadLetter, GetOutboxResponseSchema, LeaseSchema } from "#gen/holdfast/site/v1/site_pb.ts";
import type { OutboxKind } from "#gen/holdfast/site/v1/status_pb.ts";
import { AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import { type Cli, note, say } from "../cli.ts";
import type { OutputFlags } from "../flags.ts";
import { type Act, actsOf, traceTime } from "../view/acts.ts";
import { bytesText } from "../view/bytes.ts";
import { factsText } from "../view/facts.ts";
import { isForPeople, listText, oneText } from "../view/output.ts";
import { type Column, table } from "../view/table.ts";
import { ageText, durationText, timestampMs } from "../view/time.ts";
import { outboxFact } from "./status.ts";
import { type SiteFlags, withSite } from "./with-site.ts";

type Flags = SiteFlags & OutputFlags;

export async function siteLeases(this: Cli, flags: Flags): Promise<void> {
  const { leases } = await withSite(this, flags, (site) => site.listLeases({}));
  say(this, listText(LeaseSchema, leaseColumns(this.clock.wallMs()), leases, flags.output));
}

const leaseColumns = (nowMs: number): readonly Column<MessageShape<typeof LeaseSchema>>[] => [
  { title: "IP", of: (l) => l.ip },
  { title: "MAC", of: (l) => l.mac },
  { title: "HOSTNAME", of: (l) => l.hostname },
  { title: "STATE", of: (l) => l.state },
  {
    title: "EXPIRES",
    of: ({ expiresAt }) => {
      const leftMs = expiresAt ? timestampMs(expiresAt) - nowMs : 0;
      return leftMs > 0 ? `in ${durationText(leftMs)}` : "over";
    },
  },
  { title: "MACHINE", of: (l) => l.uuid, wide: true },
];

export async function siteOutbox(this: Cli, flags: Flags): Promise<void> {
  const told = await withSite(this, flags, (site) => site.getOutbox({}));
  if (!isForPeople(flags.output)) return say(this, oneText(GetOutboxResponseSchema, told, flags.output));
  const nowMs = this.clock.wallMs();
  const { kinds = [] } = told.outbox ?? {};
  say(this, factsText([outboxFact(told.outbox, nowMs)]));
  if (kinds.length > 0) say(this, `\n${table(kinds, kindColumns, "narrow")}`);
  if (told.deadLetters.length > 0)
    say(this, `\nrefused by central for good:\n${table(told.deadLetters, deadColumns(nowMs), "narrow")}`);
}

const kindColumns: readonly Column<OutboxKind>[] = [
  { title: "KIND", of: (k) => k.kind },
  { title: "ENTRIES", of: (k) => `${k.entries}` },
  { title: "SIZE", of: (k) => bytesText(k.bytes) },
];

const deadColumns = (nowMs: number): readonly Column<DeadLetter>[] => [
  { title: "KIND", of: (d) => d.kind },
  { title: "ID", of: (d) => d.id },
  { title: "SEEN", of: (d) => ageText(d.seenAt, nowMs) },
  { title: "REASON", of: (d) => d.reason },
];

export async function siteAudit(this: Cli, flags: Flags & { readonly limit: number }): Promise<void> {
  const { traces } = await withSite(this, flags, (site) => site.listAudit({ limit: flags.limit }));
  if (!isForPeople(flags.output)) return say(this, listText(AuditTraceSchema, [], traces, flags.output));
  say(this, table(actsOf(traces), actColumns, flags.output === "wide" ? "wide" : "narrow"));
}

const actColumns: readonly Column<Act>[] = [
  { title: "TIME", of: ({ either }) => traceTime(either) },
  { title: "WHO", of: ({ either }) => either.user },
  { title: "ACT", of: ({ either }) => either.method.split("/").at(-1) ?? "" },
  { title: "RESULT", of: ({ ended }) => (ended ? (ended.resultCode === 0 ? "done" : "not done") : "unknown") },
  { title: "DETAIL", of: ({ either, ended = either }) => ended.body ?? "" },
  { title: "FROM", of: ({ either }) => either.sourceIp, wide: true },
  { title: "ID", of: ({ id }) => id, wide: true },
];

export async function siteRotateToken(this: Cli, flags: SiteFlags): Promise<void> {
  const { tokenFile } = await withSite(this, flags, (site) => site.rotateToken({}));
  say(this, `${tokenFile}\n`);
  note(this, "the new token is in that file on the agent's host; the former one is worthless");
}
