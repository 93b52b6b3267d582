// How those who ask at the same time keep out of each other's way. All of it is preference: what counts is the commit.
import type { Random } from "#lib/random.ts";

/** How far those who ask at the same time are spread at most. Were it much less, they would soon meet in the last gaps of that much. */
const spreadMax = 65_536;

/** What one attempt of a transaction knows of the others that this central is at. */
export interface Search {
  /** How far beyond the lowest free one to begin; 0 for who asks alone. */
  beyond(): number;
  /** Whether somebody else is about to take it. @param name unique among all that is searched for, such as an id */
  isPicked(name: string): boolean;
  /** All that others are about to take. */
  picked(): readonly string[];
  /** It is about to be taken by this attempt. */
  pick(name: string): void;
}

/** Begins an attempt; what the asker's attempt before had picked is let go. */
export type NextSearch = () => Search;

/**
 * Who asks alone gets the lowest that is free. Who asks while others do, or has lost a race, is spread, so that not all try to take
 * the same, and is told what others are about to take.
 */
export function searcher(random: Random): <R>(work: (next: NextSearch) => Promise<R>) => Promise<R> {
  const picked = new Set<string>();
  let asking = 0;
  return async (work) => {
    let isCrowded = asking > 0;
    let own: string[] = [];
    const letGo = () => {
      for (const name of own) picked.delete(name);
      own = [];
    };
    asking++;
    try {
      return await work(() => {
        letGo();
        const isAlone = !isCrowded;
        isCrowded = true;
        const isPicked = (name: string) => picked.has(name) && !own.includes(name);
        return {
          beyond: () => (isAlone ? 0 : random.below(spreadMax)),
          isPicked,
          picked: () => [...picked].filter(isPicked),
          pick: (name) => {
            if (picked.has(name)) return;
            picked.add(name);
            own.push(name);
          },
        };
      });
    } finally {
      letGo();
      asking--;
    }
  };
}

/** Of who asks alone. */
export const alone: Search = { beyond: () => 0, isPicked: () => false, picked: () => [], pick: () => {} };
