import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { SiteMachineStateSchema } from "#gen/holdfast/site/v1/machine_pb.ts";
import {
  type CertificateStatus,
  type LedgerStatus,
  type LinkStatus,
  LinkStatusSchema,
  type OutboxSummary,
  type Status,
  StatusSchema,
} from "#gen/holdfast/site/v1/status_pb.ts";
import { type Cli, say } from "../cli.ts";
import { Failure } from "../failure.ts";
import type { OutputFlags } from "../flags.ts";
import { contradictionsText } from "../partition/contradictions.ts";
import { bytesText } from "../view/bytes.ts";
import { enumText } from "../view/enum-text.ts";
import { type Fact, factsText } from "../view/facts.ts";
import { shownText } from "../view/output.ts";
import { ageText, durationText, timestampMs } from "../view/time.ts";
import { type SiteFlags, withSite } from "./with-site.ts";

export async function siteStatus(this: Cli, flags: SiteFlags & OutputFlags): Promise<void> {
  const status = await statusOf(this, flags);
  say(
    this,
    shownText(StatusSchema, status, flags.output, () => statusText(status, this.clock.wallMs())),
  );
}

export async function siteLink(this: Cli, flags: SiteFlags & OutputFlags): Promise<void> {
  const { link, ledger, outbox } = await statusOf(this, flags);
  if (!link) throw new Failure("the agent does not tell of its link");
  const nowMs = this.clock.wallMs();
  const forPeople = () => factsText([...linkFacts(link, nowMs), ledgerFact(ledger), outboxFact(outbox, nowMs)]);
  say(this, shownText(LinkStatusSchema, link, flags.output, forPeople));
}

const statusOf = (cli: Cli, flags: SiteFlags): Promise<Status> =>
  withSite(cli, flags, async (site) => {
    const { status } = await site.getStatus({});
    if (!status) throw new Failure("the agent does not tell its status");
    return status;
  });

function statusText(status: Status, nowMs: number): string {
  const machines = status.machines.map((m) => `${m.machines} ${enumText(SiteMachineStateSchema, m.state)}`);
  const missing = status.images.filter((i) => !i.atHand);
  const facts = factsText([
    ["agent", `${status.version} of partition ${status.partition}, up ${ageText(status.startedAt, nowMs)}`],
    ...(status.link ? linkFacts(status.link, nowMs) : []),
    ...certificateFacts(status.certificate, nowMs),
    ledgerFact(status.ledger),
    outboxFact(status.outbox, nowMs),
    ["waits for", status.safeMode],
    ["machines", machines.join(", ").replaceAll("_", " ") || "none"],
    ["images", `${status.images.length - missing.length} of ${status.images.length} at hand`],
    ...missing.map(({ id, problem }): Fact => ["", `${id} is not${problem ? `: ${problem}` : ""}`]),
    ["address", status.address?.url ?? ""],
    ["fingerprint", status.address?.fingerprint ?? ""],
    ["api", status.address?.apiUrl ?? ""],
    ["disk", `${bytesText(status.diskFreeBytes)} of ${bytesText(status.diskSizeBytes)} free`],
  ]);
  return `${facts}${contradictionsText(status.contradictions)}`;
}

const linkFacts = ({ phase, since, lastError }: LinkStatus, nowMs: number): readonly Fact[] => [
  ["link", `${phase} for ${ageText(since, nowMs)}`],
  ["last error", lastError],
];

const certificateFacts = (certificate: CertificateStatus | undefined, nowMs: number): readonly Fact[] => {
  if (!certificate) return [];
  const { notAfter, renewAt, problem } = certificate;
  const leftText = (at: Timestamp) => durationText(timestampMs(at) - nowMs);
  const isOver = notAfter && timestampMs(notAfter) <= nowMs;
  const good = notAfter && renewAt ? `good for ${leftText(notAfter)}, renewed in ${leftText(renewAt)}` : "none";
  return [
    ["certificate", isOver ? `expired ${ageText(notAfter, nowMs)} ago` : good],
    ["joining", problem],
  ];
};

const ledgerFact = (ledger: LedgerStatus | undefined): Fact => [
  "ledger",
  ledger?.history
    ? `revision ${ledger.revision} of history ${ledger.history}`
    : "empty: nothing has come from central yet",
];

/** `12 machine, 1 switch; the oldest 5m old; 1 dead letter; 3 wait for a newer central`. */
export function outboxFact(outbox: OutboxSummary | undefined, nowMs: number): Fact {
  const kinds = (outbox?.kinds ?? []).map(({ kind, entries }) => `${entries} ${kind}`);
  const { deadLetters: dead = 0, notUnderstood: waiting = 0 } = outbox ?? {};
  const parts = [
    kinds.join(", ") || "empty",
    ...(outbox?.oldestAt ? [`the oldest ${ageText(outbox.oldestAt, nowMs)} old`] : []),
    ...(dead > 0 ? [`${dead} dead ${dead === 1 ? "letter" : "letters"}`] : []),
    ...(waiting > 0 ? [`${waiting} ${waiting === 1 ? "waits" : "wait"} for a newer central`] : []),
  ];
  return ["outbox", parts.join("; ")];
}
