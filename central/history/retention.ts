// How long changes are kept: the oldest give way, by age and by bytes.
import { create } from "@bufbuild/protobuf";
import { type Change, type ChangeHorizon, ChangeHorizonSchema } from "#gen/holdfast/state/v1/change_pb.ts";
import type { Fold, Stored } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { changeId, timeOfChange } from "./record.ts";

export interface Retention {
  readonly keepMs: number;
  /** Of all changes, counted by `changeBytes`. */
  readonly bytesMax: number;
}

/** What one commit's changes count: the former values, and all else with its keys in the index at flat rates. */
export const changeBytes = ({ things }: Change): number =>
  things.reduce((sum, { id, former }) => sum + (former?.length ?? 0) + 2 * id.length + 128, 512);

/** What all changes count together. */
export const bytesKept: Fold<typeof kinds.change, number, number> = {
  kind: kinds.change,
  name: "bytes",
  partsOf: ({ value }) => [{ group: "", part: changeBytes(value) }],
  none: () => 0,
  with: (sum, bytes) => sum + bytes,
  without: (sum, bytes) => sum - bytes,
};

type Row = Pick<Stored<Change>, "id" | "value" | "revision">;

/**
 * Those that have to go. When there are too many bytes, a tenth more than has to go does, so that this is not asked again at every
 * change.
 * @param rows of all changes, in id order
 * @param nowMs wall clock
 */
export function outlived<R extends Row>(
  rows: readonly R[],
  { keepMs, bytesMax }: Retention,
  nowMs: number,
): readonly R[] {
  const bytes = rows.reduce((sum, { value }) => sum + changeBytes(value), 0);
  const oldest = changeId(nowMs - keepMs, "");
  let surplus = bytes > bytesMax ? bytes - bytesMax * 0.9 : 0;
  const gone: R[] = [];
  for (const row of rows) {
    if (row.id >= oldest && surplus <= 0) break;
    gone.push(row);
    surplus -= changeBytes(row.value);
  }
  return gone;
}

/** What is held once these are gone: clocks of several centrals differ, so the last of them by time need not be so by revision. */
export function horizonAfter(before: ChangeHorizon, gone: readonly Row[]): ChangeHorizon {
  let { revision, atMs } = before;
  for (const row of gone) {
    if (row.revision > revision) revision = row.revision;
    const at = BigInt(timeOfChange(row.id));
    if (at > atMs) atMs = at;
  }
  return create(ChangeHorizonSchema, { revision, atMs });
}

export const horizonId = "1";

/** Undefined: nothing is held yet. */
export const horizonOf = (state: Pick<State, "get">): ChangeHorizon | undefined =>
  state.get(kinds.changeHorizon, horizonId)?.value;
