// One process that runs seeds for `npm run sim`: those that it is sent, one after the other.
import type { FaultName } from "./faults.ts";
import { type Outcome, runSeed } from "./run.ts";
import { type Chosen, taken } from "./swarm.ts";

export interface Job {
  readonly seeds: readonly number[];
  /** Undefined: each seed takes its own. */
  readonly chosen: readonly Chosen[] | undefined;
}

/** What a worker tells of one seed. */
export interface Told extends Omit<Outcome, "injected" | "marks"> {
  readonly injected: readonly (readonly [FaultName, number])[];
  readonly marks: readonly string[];
}

process.on("message", async ({ seeds, chosen }: Job) => {
  for (const seed of seeds) {
    const { trace, injected, marks, ...rest } = await runSeed(
      seed,
      chosen?.map((one) => taken(seed, one)),
    );
    // Nobody reads the others.
    const shown = rest.failure === undefined ? [] : trace;
    const told: Told = { ...rest, trace: shown, injected: [...injected], marks: [...marks] };
    process.send?.(told);
  }
});
