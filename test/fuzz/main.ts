// Calls every RPC with generated requests. Usage: npm run fuzz:api [-- --calls N --seed N], or --at SEED:CALL to see one again.
import { parseArgs } from "node:util";
import { systemRandom } from "#lib/io/system-random.ts";
import { episode, type Failure, methods } from "./episode.ts";

/** Calls to one central before the next is made: a world that has grown odd finds less. */
const episodeCalls = 1_000;

const { values } = parseArgs({
  options: { calls: { type: "string" }, seed: { type: "string" }, at: { type: "string" } },
});

if (values.at !== undefined) await again(values.at);
else await many(Number(values.calls ?? 200_000), Number(values.seed ?? systemRandom.below(2 ** 31)));

async function again(at: string): Promise<void> {
  const [seed = 1, call = 0] = at.split(":").map(Number);
  const { failures } = await episode(seed, { calls: call + 1, checkEvery: 1, tell: (line) => console.log(line) });
  for (const failure of failures) tell(failure);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

async function many(calls: number, first: number): Promise<void> {
  const began = performance.now();
  const count = { passed: 0, failed: 0, skipped: 0 };
  const ends = new Map<string, number>();
  const answered = new Set<string>();
  for (let seed = first, done = 0; done < calls; seed++) {
    const wanted = Math.min(episodeCalls, calls - done);
    const result = await episode(seed, { calls: wanted });
    for (const failure of result.failures) tell(failure);
    for (const [end, times] of result.ends) ends.set(end, (ends.get(end) ?? 0) + times);
    for (const method of result.answered) answered.add(method);
    // An episode ends with its first failure.
    count.failed += result.failures.length;
    count.passed += result.calls - result.failures.length;
    count.skipped += wanted - result.calls;
    done += wanted;
    const aSecond = Math.round(done / ((performance.now() - began) / 1_000));
    console.log(`seed ${seed}: ${done} calls, ${count.failed} failed, ${aSecond} a second`);
  }
  const sorted = [...ends].sort(([, a], [, b]) => b - a);
  console.log(sorted.map(([end, times]) => `${end} ${times}`).join(", "));
  console.log(`${answered.size} of ${methods.length} RPCs answered at least once`);
  console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
  process.exitCode = count.failed === 0 ? 0 : 1;
}

function tell({ seed, call, what }: Failure): void {
  console.log(`FAILED seed ${seed} call ${call}: ${what}\n  again: npm run fuzz:api -- --at ${seed}:${call}`);
}
