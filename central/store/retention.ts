// What rows that are kept for a time have in common: ids that begin with their time, and the oldest of which give way.
import type { Fold, Row } from "./cache.ts";
import type { Kind, Of } from "./kinds.ts";

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
