import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type HistoryOfSchema,
  HistoryService,
  HistoryServiceDiffResponseSchema,
  HistoryServiceListResponseSchema,
  type MomentSchema,
  type ThingChange,
  ThingChangeKindSchema,
} from "#gen/holdfast/api/v1/history_pb.ts";
import { ThingSchema } from "#gen/holdfast/api/v1/thing_pb.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import { type Api, type Cli, note, say, wanted, withApi } from "../cli.ts";
import { Failure } from "../failure.ts";
import type { ConnectFlags, OutputFlags } from "../flags.ts";
import { enumText } from "../view/enum-text.ts";
import { isForPeople, oneText } from "../view/output.ts";
import { table } from "../view/table.ts";
import { parseTime } from "../view/time.ts";

export type HistoryFlags = ConnectFlags &
  OutputFlags & {
    readonly project?: string | undefined;
    readonly at?: string | undefined;
    readonly diff?: string | undefined;
    readonly limit: number;
  };

type Moment = MessageInitShape<typeof MomentSchema>;
type Of = MessageInitShape<typeof HistoryOfSchema>;

/** Who changed a thing and why; or what it was like at a moment; or what differs between two. */
export async function history(this: Cli, flags: HistoryFlags, kind: string, id: string): Promise<void> {
  const { at, diff } = flags;
  if (at !== undefined && diff !== undefined) throw new Failure("either --at or --diff is wanted", 2);
  const between = diff === undefined ? undefined : wanted(parseSpan(diff));
  const moment = at === undefined ? undefined : wanted(parseMoment(at));
  await withApi(this, flags, async (api, target) => {
    const { project = target.project } = flags;
    const of = { kind, id, ...(project !== undefined && { project }) };
    if (moment) return say(this, await asItWas(api, of, moment, flags));
    if (between) return say(this, await differences(api, of, between, flags));
    await changes(this, api, of, flags);
  });
}

async function asItWas(api: Api, of: Of, at: Moment, { output }: HistoryFlags): Promise<string> {
  const { thing } = await api.client(HistoryService).get({ of, at });
  if (thing === undefined) throw new Failure(`not found: ${of.kind} ${of.id}`);
  return oneText(ThingSchema, thing, output);
}

async function differences(api: Api, of: Of, [from, to]: readonly [Moment, Moment], { output }: HistoryFlags) {
  const found = await api.client(HistoryService).diff({ of, from, to });
  if (!isForPeople(output)) return oneText(HistoryServiceDiffResponseSchema, found, output);
  return found.differences
    .flatMap(({ path, before, after }) => [
      ...(before === undefined ? [] : [`- ${path}: ${before}\n`]),
      ...(after === undefined ? [] : [`+ ${path}: ${after}\n`]),
    ])
    .join("");
}

async function changes(cli: Cli, api: Api, of: Of, { limit, output }: HistoryFlags): Promise<void> {
  const found = await api.client(HistoryService).list({ of, pageSize: limit });
  if (!isForPeople(output)) return say(cli, oneText(HistoryServiceListResponseSchema, found, output));
  const columns = [
    { title: "REVISION", of: (c: ThingChange) => `${c.revision}` },
    { title: "TIME", of: (c: ThingChange) => (c.at ? timestampDate(c.at).toISOString() : "") },
    { title: "CHANGE", of: (c: ThingChange) => enumText(ThingChangeKindSchema, c.kind) },
    { title: "BY", of: (c: ThingChange) => c.actor },
    { title: "CALL", of: (c: ThingChange) => c.method.replace(/^.*\./, "") },
    { title: "FIELDS", of: (c: ThingChange) => fieldsText(c.fields, output) },
    { title: "REASON", of: (c: ThingChange) => c.reason },
  ];
  say(cli, table(found.changes, columns, "narrow"));
  const { heldAfterTime } = found;
  if (found.more) note(cli, `there are more before: --limit, at most ${limitMax}`);
  else if (heldAfterTime) note(cli, `nothing is held of what was before ${timestampDate(heldAfterTime).toISOString()}`);
}

const limitMax = 200;
const fieldsShown = 3;

/** Without what every change changes. */
function fieldsText(fields: readonly string[], output: OutputFlags["output"]): string {
  const telling = fields.filter((field) => !/(^|\.)meta\.(updated_at|generation)$/.test(field));
  const more = telling.length - fieldsShown;
  if (output === "wide" || more <= 0) return telling.join(" ");
  return `${telling.slice(0, fieldsShown).join(" ")} and ${more} more`;
}

/** A revision, or a time such as `2026-05-01T12:00:00Z`. */
export function parseMoment(text: string): Result<Moment> {
  if (/^\d{1,19}$/.test(text)) return ok({ at: { case: "revision", value: BigInt(text) } });
  const time = parseTime(text);
  if (!time.ok) return fail(`${text}: a revision or a time is wanted, such as 4711 or 2026-05-01T12:00:00Z`);
  return ok({ at: { case: "time", value: timestampFromMs(time.value) } });
}

/** `A..B`; `A..` ends now. */
export function parseSpan(text: string): Result<readonly [Moment, Moment]> {
  const [first = "", last, ...more] = text.split("..");
  if (last === undefined || more.length > 0) return fail(`${text}: FROM..TO is wanted, each a revision or a time`);
  const from = parseMoment(first);
  if (!from.ok) return from;
  const to: Result<Moment> = last === "" ? ok({}) : parseMoment(last);
  return to.ok ? ok([from.value, to.value]) : to;
}
