// 5,000 calls of the fuzz; npm run fuzz:api makes 200,000, and says how to see a failing call again. FUZZ_SEED begins elsewhere.
import assert from "node:assert/strict";
import { test } from "node:test";
import { episode, methods } from "./episode.ts";

const episodes = 5;
const callsEach = 1_000;
const first = Number(process.env.FUZZ_SEED ?? 1);

test("no generated request makes central fail, answer nothing, tell a secret or store what does not fit together", async () => {
  const began = performance.now();
  const answered = new Set<string>();
  let calls = 0;
  for (let seed = first; seed < first + episodes; seed++) {
    const result = await episode(seed, { calls: callsEach });
    const [failure] = result.failures;
    assert.equal(
      failure,
      undefined,
      failure && `npm run fuzz:api -- --at ${failure.seed}:${failure.call}\n${failure.what}`,
    );
    for (const method of result.answered) answered.add(method);
    calls += result.calls;
  }
  const aSecond = Math.round(calls / ((performance.now() - began) / 1_000));
  console.log(
    `seeds ${first} to ${first + episodes - 1}: ${calls} calls, ${aSecond} a second, ${answered.size} RPCs answered`,
  );
  // Most refusals are no proof that a handler stands what comes.
  assert.ok(answered.size > methods.length * 0.75, `${answered.size} of ${methods.length} RPCs answered`);
});
