import type { FaultName } from "./faults.ts";
import { type Outcome, runSeed } from "./run.ts";

/** The smallest set of faults with which the seed still fails: one fault after the other is left out, as long as it does. */
export async function shrink(seed: number, faults: readonly FaultName[]): Promise<Outcome> {
  let smallest = await runSeed(seed, faults);
  for (const fault of faults) {
    const fewer = smallest.faults.filter((f) => f !== fault);
    const outcome = await runSeed(seed, fewer);
    if (outcome.failure !== undefined) smallest = outcome;
  }
  return smallest;
}
