// One process that runs seeds for `npm run sim`: those that it is sent, one after the other.
import type { FaultName } from "./faults.ts";
import { type Outcome, runSeed } from "./run.ts";

/** What a worker tells of one seed. */
export interface Told extends Omit<Outcome, "trace" | "injected" | "marks"> {
  readonly injected: readonly (readonly [FaultName, number])[];
  readonly marks: readonly string[];
}

process.on("message", async (seeds: readonly number[]) => {
  for (const seed of seeds) {
    const { trace: _, injected, marks, ...rest } = await runSeed(seed);
    const told: Told = { ...rest, injected: [...injected], marks: [...marks] };
    process.send?.(told);
  }
});
