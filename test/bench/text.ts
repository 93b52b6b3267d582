/** Of numbers in any order; NaN of none. @param q 0 to 1 */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

/** A line of a table: a wide first cell, narrow others. */
export const row = ([first = "", ...others]: readonly string[]): string =>
  first.padEnd(36) + others.map((cell) => cell.padStart(14)).join("");
