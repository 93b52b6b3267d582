import type { Datacenter } from "./datacenter.ts";
import { type Fault, fault, type Range } from "./fault.ts";
import type { Line } from "./line.ts";

/** Of the lines between two sorts of places. */
export interface LineFaults {
  readonly slow: Fault;
  readonly lossy: Fault;
  readonly doubling: Fault;
  readonly halfOpen: Fault;
}

/** @param delayMs the most that one way takes while they are slow */
export function lineFaults(lines: (at: Datacenter) => readonly Line[], delayMs: Range): LineFaults {
  const set = (at: Datacenter, key: "delayMs" | "lostShare" | "twiceShare", value: number) => {
    for (const { faults } of lines(at)) faults[key] = value;
    return () => {
      for (const { faults, calm } of lines(at)) faults[key] = calm[key];
    };
  };
  return {
    slow: fault({
      lastsMs: [10_000, 600_000],
      strength: { delayMs },
      begin: (at, { strength }) => set(at, "delayMs", strength.delayMs),
    }),
    lossy: fault({
      lastsMs: [10_000, 600_000],
      strength: { lostShare: [0.01, 0.4] },
      begin: (at, { strength }) => set(at, "lostShare", strength.lostShare),
    }),
    doubling: fault({
      lastsMs: [10_000, 600_000],
      strength: { twiceShare: [0.02, 0.6] },
      begin: (at, { strength }) => set(at, "twiceShare", strength.twiceShare),
    }),
    // It lasts until the ends notice.
    halfOpen: fault({
      lastsMs: [1, 1],
      begin: (at, { random }) => {
        const ways = random.pick([["there"], ["back"], ["there", "back"]] as const);
        for (const line of lines(at)) line.halfOpen(ways);
        return () => {};
      },
    }),
  };
}

/** Both ends send in vain, and are told nothing, until it is healed. */
export const linkFaults = {
  "link cut": fault({
    lastsMs: [1_000, 1_200_000],
    begin: ({ link }) => link.cut(),
  }),
  "link cut one way": fault({
    lastsMs: [1_000, 300_000],
    begin: ({ link }, { random }) => link.cut([random.pick(["there", "back"])]),
  }),
} as const;
