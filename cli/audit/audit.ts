import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { AuditService as AdminAuditService } from "#gen/metalstack/admin/v2/audit_pb.ts";
import {
  AuditPhaseSchema,
  AuditQuerySchema,
  AuditService,
  type AuditTrace,
  AuditTraceSchema,
} from "#gen/metalstack/api/v2/audit_pb.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import { type Api, type Cli, note, say, wanted, withApi } from "../cli.ts";
import { Failure } from "../failure.ts";
import type { ConnectFlags, OutputFlags } from "../flags.ts";
import { type Act, actsOf, traceTime } from "../view/acts.ts";
import { enumValue } from "../view/enum-text.ts";
import { type Fact, factsText } from "../view/facts.ts";
import { isForPeople, listText } from "../view/output.ts";
import { type Column, table } from "../view/table.ts";
import { durationText, parseDuration, parseTime } from "../view/time.ts";

type AuditFlags = ConnectFlags &
  OutputFlags & { readonly tenant?: string | undefined; readonly phase?: "request" | "response" | undefined };

export type ListAuditFlags = AuditFlags & {
  readonly user?: string | undefined;
  readonly project?: string | undefined;
  readonly method?: string | undefined;
  readonly address?: string | undefined;
  readonly code?: string | undefined;
  readonly body?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly limit: number;
};

type Query = MessageInitShape<typeof AuditQuerySchema>;

export async function listAudit(this: Cli, flags: ListAuditFlags): Promise<void> {
  const { user, project, method, address, code, body, from, to, limit } = flags;
  const nowMs = this.clock.wallMs();
  const query: Query = {
    ...phaseOf(flags),
    ...(user !== undefined && { user }),
    ...(project !== undefined && { project }),
    ...(method !== undefined && { method: method.replace(/^\/?/, "/") }),
    ...(address !== undefined && { sourceIp: address }),
    ...(code !== undefined && { resultCode: wanted(parseCode(code)) }),
    ...(body !== undefined && { body }),
    ...(from !== undefined && { from: timestampFromMs(wanted(parseWhen(from, nowMs))) }),
    ...(to !== undefined && { to: timestampFromMs(wanted(parseWhen(to, nowMs))) }),
    limit,
  };
  await withApi(this, flags, async (api) => {
    const traces = await tracesOf(api, flags, query);
    const { output } = flags;
    if (!isForPeople(output)) return say(this, listText(AuditTraceSchema, [], traces, output));
    say(this, table(actsOf(traces), columns, output === "wide" ? "wide" : "narrow"));
    if (traces.length >= limit) note(this, "there may be more before: --limit, at most 1000, or an earlier --to");
  });
}

/** Both halves of a call, the begin first. */
export async function getAudit(this: Cli, flags: AuditFlags, uuid: string): Promise<void> {
  await withApi(this, flags, async (api) => {
    const traces = (await tracesOf(api, flags, { ...phaseOf(flags), uuid })).toReversed();
    const [act] = actsOf(traces);
    if (!act) throw new Failure(`not found: there is no call ${uuid} in these records, or not any more`);
    const { output } = flags;
    say(this, isForPeople(output) ? factsText(factsOf(act)) : listText(AuditTraceSchema, [], traces, output));
  });
}

/** Newest first. */
async function tracesOf(api: Api, { tenant }: AuditFlags, asked: Query): Promise<readonly AuditTrace[]> {
  const query = create(AuditQuerySchema, asked);
  const { traces } =
    tenant === undefined
      ? await api.client(AdminAuditService).list({ query })
      : await api.client(AuditService).list({ login: tenant, query });
  return traces;
}

const phaseOf = ({ phase }: AuditFlags): Query => {
  const value = phase && enumValue(AuditPhaseSchema, phase);
  return value === undefined ? {} : { phase: value };
};

const columns: readonly Column<Act>[] = [
  { title: "TIME", of: ({ either }) => traceTime(either) },
  { title: "WHO", of: ({ either }) => either.user },
  { title: "CALL", of: ({ either }) => either.method.replace(/^.*\./, "") },
  { title: "RESULT", of: resultText },
  { title: "SITE", of: ({ either }) => label(either, "partition") },
  { title: "ID", of: ({ id }) => id },
  { title: "TENANT", of: ({ either }) => either.tenant, wide: true },
  { title: "PROJECT", of: ({ either }) => either.project ?? "", wide: true },
  { title: "FROM", of: ({ either }) => either.sourceIp, wide: true },
  { title: "DETAIL", of: ({ either, ended }) => (ended?.resultCode ? ended : either).body ?? "", wide: true },
];

function factsOf(act: Act): readonly Fact[] {
  const { id, begun, ended, either } = act;
  const took = ended && label(ended, "duration-ms");
  return [
    ["id", id],
    ["who", either.user],
    ["call", either.method],
    ["from", either.sourceIp],
    ["site", label(either, "partition")],
    ["tenant", either.tenant],
    ["project", either.project ?? ""],
    ["roles", label(either, "roles")],
    ["token", label(either, "token")],
    ["began", begun ? traceTime(begun) : ""],
    ["ended", ended ? `${traceTime(ended)}${took ? `, after ${durationText(Number(took))}` : ""}` : ""],
    ["result", resultText(act)],
    ["request", begun?.body ?? ""],
    ["answer", ended?.body ?? ""],
  ];
}

const label = ({ meta }: AuditTrace, name: string): string => meta?.labels?.labels[`holdfast/${name}`] ?? "";

function resultText({ ended }: Act): string {
  const { resultCode } = ended ?? {};
  if (resultCode === undefined) return "unknown";
  return resultCode === 0 ? "done" : (Code[resultCode] ?? `${resultCode}`);
}

/** A code of gRPC by its number or its name, in any case; 0 is success. */
export function parseCode(text: string): Result<number> {
  const found = Object.entries(Code).find(([name]) => name.toLowerCase() === text.toLowerCase())?.[1];
  if (typeof found === "number") return ok(found);
  return /^\d{1,2}$/.test(text)
    ? ok(Number(text))
    : fail(`${text}: a code is wanted, such as 0, 7 or PermissionDenied`);
}

/** A time, or how long ago, in milliseconds since 1970. */
export function parseWhen(text: string, nowMs: number): Result<number> {
  const ago = parseDuration(text);
  if (ago.ok) return ok(nowMs - ago.value);
  const time = parseTime(text);
  return time.ok ? time : fail(`${text}: a time or how long ago is wanted, such as 2026-05-01T12:00:00Z or 2d`);
}
