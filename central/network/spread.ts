import type { Random } from "#lib/random.ts";

/** How far those who ask at the same time are spread at most. Were it much less, they would soon meet in the last gaps of that much. */
const spreadMax = 65_536;

/** For one attempt of a transaction: how far beyond the lowest free one it begins to search. */
export type Spread = () => number;

/**
 * Who asks alone gets the lowest that is free. Who asks while others do, or has lost a race, is spread, so that not all try to take
 * the same.
 */
export function spreader(random: Random): <R>(work: (spread: Spread) => Promise<R>) => Promise<R> {
  let asking = 0;
  return async (work) => {
    let isCrowded = asking > 0;
    asking++;
    try {
      return await work(() => {
        const spread = isCrowded ? random.below(spreadMax) : 0;
        isCrowded = true;
        return spread;
      });
    } finally {
      asking--;
    }
  };
}
