export interface Reach {
  /** 1 to this. */
  readonly awaits: number;
  /** So many, evenly. */
  readonly spread: number;
  /** Then between two after which something else was found, until they are neighbours. */
  readonly isClosely: boolean;
}

/**
 * Where to kill next, so that every change of what is found lies between two awaits of which one comes right after the other.
 * @param found what was found so far, by await
 */
export function nextAwait(
  found: ReadonlyMap<number, string>,
  { awaits, spread, isClosely }: Reach,
): number | undefined {
  const count = Math.min(spread, awaits);
  for (let i = 0; i < count; i++) {
    const at = count === 1 ? 1 : 1 + Math.round((i * (awaits - 1)) / (count - 1));
    if (!found.has(at)) return at;
  }
  if (!isClosely) return undefined;
  const known = [...found].sort(([a], [b]) => a - b);
  for (const [i, [at, what]] of known.entries()) {
    const [before, other] = known[i - 1] ?? [at, what];
    if (at - before > 1 && other !== what) return Math.floor((before + at) / 2);
  }
  return undefined;
}
