// How those who ask at the same time keep out of each other's way. All of it is preference: what counts is the commit.
import { lowest, type Spread } from "#domain/network/free.ts";
import type { Random } from "#lib/random.ts";
import { onlySeat, type Seat } from "../seat.ts";

/** How far those who ask at the same time are spread at most. Were it much less, they would soon meet in the last gaps of that much. */
const spreadMax = 65_536;
/** What is left of a crowd with each that asks. */
const fading = 0.9;

/** What one attempt of a transaction knows of the others that this central is at. */
export interface Search {
  /** Among the centrals that share the store. */
  readonly seat: Seat;
  /** About how many ask at the same time at this central: what was, fades with each that asks, since those that are answered together leave together. */
  readonly crowd: number;
  /** Where to begin; who asks alone gets the lowest that is free. */
  readonly spread: Spread;
  /** Whether somebody else is about to take it. @param name unique among all that is searched for, such as an id */
  isPicked(name: string): boolean;
  /** What others are about to take that was picked under this key, if it is meant. */
  picked(key: string, isMeant: (name: string) => boolean): readonly string[];
  /** It is about to be taken by this attempt. */
  pick(name: string, keys?: readonly string[]): void;
}

/** Begins an attempt; what the asker's attempt before had picked is let go. */
export type NextSearch = () => Search;

/**
 * Who asks alone gets the lowest that is free. Who asks while others do, or has lost a race, is spread, so that not all try to take
 * the same, and is told what others are about to take.
 * @param central among those that share the store: they take from different parts as long as there is something. Absent: the only one
 */
export function searcher(
  random: Random,
  central?: { seat(): Seat },
): <R>(work: (next: NextSearch) => Promise<R>) => Promise<R> {
  const picked = new Set<string>();
  const under = new Map<string, Set<string>>();
  let asking = 0;
  let crowd = 0;
  return async (work) => {
    let isCrowded = asking > 0;
    const own = new Map<string, readonly string[]>();
    const letGo = () => {
      for (const [name, keys] of own) {
        picked.delete(name);
        for (const key of keys) if (under.get(key)?.delete(name) && under.get(key)?.size === 0) under.delete(key);
      }
      own.clear();
    };
    asking++;
    crowd = Math.max(asking, crowd * fading);
    try {
      return await work(() => {
        letGo();
        const seat = central?.seat() ?? onlySeat;
        const spread = isCrowded ? spreadFrom(seat, random) : lowest;
        isCrowded = true;
        const isPicked = (name: string) => picked.has(name) && !own.has(name);
        return {
          seat,
          crowd,
          spread,
          isPicked,
          picked(key, isMeant) {
            const names: string[] = [];
            for (const name of under.get(key) ?? []) if (!own.has(name) && isMeant(name)) names.push(name);
            return names;
          },
          pick: (name, keys = []) => {
            if (picked.has(name)) return;
            picked.add(name);
            own.set(name, keys);
            for (const key of keys) under.set(key, (under.get(key) ?? new Set()).add(name));
          },
        };
      });
    } finally {
      letGo();
      asking--;
    }
  };
}

/** Anywhere in the seat's part of a small pool, or of what follows the lowest that is free in a large one. */
function spreadFrom({ at, of }: Seat, random: Random): Spread {
  return (pool, least) => {
    const start = pool.last - pool.first < spreadMax ? pool.first : least;
    const width = Math.min(Number(pool.last - start) + 1, spreadMax);
    const part = Math.floor(width / of);
    const [begin, length] = part === 0 ? [0, width] : [at * part, part];
    const first = start + BigInt(begin);
    return { from: first + BigInt(random.below(length)), first, last: first + BigInt(length) - 1n };
  };
}

/** Of who asks alone. */
export const alone: Search = {
  seat: onlySeat,
  crowd: 1,
  spread: lowest,
  isPicked: () => false,
  picked: () => [],
  pick: () => {},
};
