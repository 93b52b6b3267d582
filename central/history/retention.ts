// How long changes are kept: the oldest give way, by age and by bytes.
import { create } from "@bufbuild/protobuf";
import { type Change, type ChangeHorizon, ChangeHorizonSchema } from "#gen/holdfast/state/v1/change_pb.ts";
import type { Stored } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import { bytesOfAll, outlivedOf, type Retention, timeOfId } from "../store/retention.ts";
import type { State } from "../store/state.ts";

/** What one commit's changes count: the former values, and all else with its keys in the index at flat rates. */
export const changeBytes = ({ things }: Change): number =>
  things.reduce((sum, { id, former }) => sum + (former?.length ?? 0) + 2 * id.length + 128, 512);

/** What all changes count together. */
export const bytesKept = bytesOfAll(kinds.change, changeBytes);

type Row = Pick<Stored<Change>, "id" | "value" | "revision">;

/** Those that have to go. @param rows of all changes, in id order @param nowMs wall clock */
export const outlived = <R extends Row>(rows: readonly R[], retention: Retention, nowMs: number): readonly R[] =>
  outlivedOf(rows, changeBytes, retention, nowMs);

/** What is held once these are gone: clocks of several centrals differ, so the last of them by time need not be so by revision. */
export function horizonAfter(before: ChangeHorizon, gone: readonly Row[]): ChangeHorizon {
  let { revision, atMs } = before;
  for (const row of gone) {
    if (row.revision > revision) revision = row.revision;
    const at = BigInt(timeOfId(row.id));
    if (at > atMs) atMs = at;
  }
  return create(ChangeHorizonSchema, { revision, atMs });
}

export const horizonId = "1";

/** Undefined: nothing is held yet. */
export const horizonOf = (state: Pick<State, "get">): ChangeHorizon | undefined =>
  state.get(kinds.changeHorizon, horizonId)?.value;
