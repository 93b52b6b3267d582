import { type Outcome, runSeed } from "./run.ts";
import type { Taken } from "./swarm.ts";

/** A seed that fails, with how. */
export interface Failed extends Pick<Outcome, "seed" | "faults" | "trace"> {
  readonly failure: string;
}

/**
 * The smallest set of faults with which the seed fails in the same way: one fault after the other is left out, as long as it does.
 * @param run of the seed with some of its faults
 */
export async function shrink(
  failed: Failed,
  run: (seed: number, faults: readonly Taken[]) => Promise<Outcome> = runSeed,
): Promise<Failed> {
  let smallest = failed;
  for (const fault of failed.faults) {
    const fewer = smallest.faults.filter((f) => f !== fault);
    const { seed, faults, trace, failure } = await run(failed.seed, fewer);
    if (failure !== undefined && sortOf(failure) === sortOf(failed.failure))
      smallest = { seed, faults, trace, failure };
  }
  return smallest;
}

/** Which invariant was broken, or what the run broke of; machines, times and numbers are others in every run. */
export function sortOf(failure: string): string {
  const [first = ""] = failure.split("\n", 1);
  return /^invariant \d+/.exec(first)?.[0] ?? first.replaceAll(/[0-9a-f]*\d[0-9a-f-]*/g, "…");
}
