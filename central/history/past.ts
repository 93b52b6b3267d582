// What one thing was like before: read backwards from what it is like now, change by change.
import { fromBinary, type Message } from "@bufbuild/protobuf";
import type { ChangedThing } from "#gen/holdfast/state/v1/change_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Index } from "../store/cache.ts";
import { type Kind, keyOf, kinds } from "../store/kinds.ts";
import { timeOfId } from "../store/retention.ts";
import type { State } from "../store/state.ts";
import { withoutSecrets } from "../things/without-secrets.ts";
import type { Cause } from "./cause.ts";

import { horizonOf } from "./retention.ts";

/** What a thing was like; "left out": nobody knows, it was too long to be kept. */
export type Was = Message | undefined | LeftOut;
export type LeftOut = { readonly leftOutBytes: bigint };

export const isLeftOut = (was: Was): was is LeftOut => was !== undefined && "leftOutBytes" in was;

export interface Step extends Cause {
  readonly revision: bigint;
  /** Wall clock of the central that did it. */
  readonly atMs: number;
  readonly before: Was;
  readonly after: Was;
}

/** Changes by the things that they changed. */
export const changesOf = (state: Pick<State, "index">): Index<typeof kinds.change> =>
  state.index(kinds.change, "thing", ({ things }) => things.map(({ kind, id }) => `${kind}/${id}`));

/** All changes of one thing that are held, in the order of revisions; each begins with what the one before it left. */
export function stepsOf(state: State, kind: Kind, id: string): readonly Step[] {
  const heldAfter = horizonOf(state)?.revision ?? state.revision;
  const rows = [...state.by(changesOf(state), keyOf(kind, id))]
    .filter(({ revision }) => revision > heldAfter)
    .sort((a, b) => (a.revision < b.revision ? -1 : 1));
  const now = state.get(kind, id)?.value;
  let after: Was = now && withoutSecrets(kind.schema, now);
  const steps: Step[] = [];
  for (const { id: changeId, revision, value } of rows.reverse()) {
    const { actor, method, reason, things } = value;
    const thing = things.find((t) => t.kind === kind.name && t.id === id);
    const before = thing && formerOf(kind, thing);
    steps.push({ revision, atMs: timeOfId(changeId), actor, method, reason, before, after });
    after = before;
  }
  return steps.reverse();
}

function formerOf(kind: Kind, { former, leftOutBytes }: ChangedThing): Was {
  if (leftOutBytes > 0n) return { leftOutBytes };
  return former && fromBinary(kind.schema, former);
}

export type Moment =
  | { readonly case: "revision"; readonly value: bigint }
  | { readonly case: "timeMs"; readonly value: number }
  | { readonly case: "now" };

export interface AtMoment {
  readonly was: Was;
  /** Of the change that made it so; 0: it is not held any more. */
  readonly revision: bigint;
}

/**
 * @param steps of the thing
 * @throws Refusal "precondition" HISTORY_NOT_HELD for what is longer ago than is kept, REVISION_NOT_REACHED for what is still to come
 */
export function at(state: State, kind: Kind, id: string, steps: readonly Step[], moment: Moment): AtMoment {
  checkHeld(state, moment);
  const isLater = ({ revision, atMs }: Step): boolean => {
    if (moment.case === "now") return false;
    return moment.case === "revision" ? revision > moment.value : atMs > moment.value;
  };
  const next = steps.findIndex(isLater);
  if (next >= 0) return { was: steps[next]!.before, revision: steps[next - 1]?.revision ?? 0n };
  const now = state.get(kind, id);
  return { was: now && withoutSecrets(kind.schema, now.value), revision: steps.at(-1)?.revision ?? 0n };
}

function checkHeld(state: State, moment: Moment): void {
  if (moment.case === "now") return;
  const horizon = horizonOf(state);
  const heldAfter = { revision: horizon?.revision ?? state.revision, timeMs: Number(horizon?.atMs ?? Infinity) };
  if (moment.case === "revision" && moment.value > state.revision) {
    const text = `revision ${moment.value} is beyond ${state.revision}, at which this server reads: try again later`;
    throw new Refusal("precondition", text, { reason: "REVISION_NOT_REACHED" });
  }
  if (moment.case === "revision" ? moment.value >= heldAfter.revision : moment.value >= heldAfter.timeMs) return;
  const since = Number.isFinite(heldAfter.timeMs) ? ` (${new Date(heldAfter.timeMs).toISOString()})` : "";
  const asked = moment.case === "revision" ? `revision ${moment.value}` : new Date(moment.value).toISOString();
  const text = `${asked} is longer ago than changes are kept: they are held after revision ${heldAfter.revision}${since}`;
  throw new Refusal("precondition", text, { reason: "HISTORY_NOT_HELD" });
}
