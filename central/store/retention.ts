// What rows that are kept for a time have in common: ids that begin with their time, and the oldest of which give way.
import type { Fold, Row } from "./cache.ts";
import type { Kind, Of } from "./kinds.ts";
import { storeLimits } from "./limits.ts";
import type { State } from "./state.ts";

export interface Retention {
  readonly keepMs: number;
  /** Of all rows together, as they are counted. */
  readonly bytesMax: number;
}

const timeDigits = 15;

/** Their order is that of time. @param atMs wall clock, milliseconds since 1970 */
export const timedId = (atMs: number, rest: string): string =>
  `${`${Math.max(0, Math.trunc(atMs))}`.padStart(timeDigits, "0")}/${rest}`;

export const timeOfId = (id: string): number => Number(id.slice(0, timeDigits));

/** What all rows count together; in one group, which has no name. */
export const bytesOfAll = <K extends Kind>(kind: K, bytesOf: (value: Of<K>) => number): Fold<K, number, number> => ({
  kind,
  name: "bytes",
  partsOf: ({ value }) => [{ group: "", part: bytesOf(value) }],
  none: () => 0,
  with: (sum, bytes) => sum + bytes,
  without: (sum, bytes) => sum - bytes,
});

/**
 * Those that have to go. When there are too many bytes, a tenth more than has to go does, so that this is not asked again at every
 * row.
 * @param rows all of them, in id order
 * @param nowMs wall clock
 */
export function outlivedOf<K extends Kind, R extends Row<K>>(
  rows: readonly R[],
  bytesOf: (value: R["value"]) => number,
  { keepMs, bytesMax }: Retention,
  nowMs: number,
): readonly R[] {
  const bytes = rows.reduce((sum, { value }) => sum + bytesOf(value), 0);
  const oldest = timedId(nowMs - keepMs, "");
  let surplus = bytes > bytesMax ? bytes - bytesMax * 0.9 : 0;
  const gone: R[] = [];
  for (const row of rows) {
    if (row.id >= oldest && surplus <= 0) break;
    gone.push(row);
    surplus -= bytesOf(row.value);
  }
  return gone;
}

/** Takes rows away, as many at a time as one commit may, until the signal aborts. For kinds of which no change is recorded. */
export async function deleteRows(state: State, kind: Kind, ids: readonly string[], signal: AbortSignal): Promise<void> {
  const { commitOperations } = storeLimits;
  for (let at = 0; at < ids.length && !signal.aborted; at += commitOperations) {
    await state.transact((tx) => {
      for (const id of ids.slice(at, at + commitOperations)) tx.delete(kind, id);
    });
  }
}
