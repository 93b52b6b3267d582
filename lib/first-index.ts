/**
 * Index of the first item for which it holds, by halving; the length when it holds for none.
 * @param holds for no item before the first, and for all after it
 */
export function firstIndex<T>(items: readonly T[], holds: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(items[middle] as T))
      high = middle; // within the bounds
    else low = middle + 1;
  }
  return low;
}
