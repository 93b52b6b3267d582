import assert from "node:assert/strict";
import { test } from "node:test";
import { runSeed } from "./run.ts";
import { marksInSource } from "./sometimes.ts";

test("two runs of a seed give the same trace, event by event", async () => {
  for (const seed of [3, 7, 12]) {
    const [first, second] = [await runSeed(seed), await runSeed(seed)];
    assert.deepEqual(second.trace, first.trace);
    assert.equal(second.events, first.events);
    assert.equal(second.digest, first.digest);
  }
});

test("another seed is another run", async () => {
  assert.notEqual((await runSeed(4)).digest, (await runSeed(5)).digest);
});

test("without faults every machine comes to be as central wants it", async () => {
  for (const seed of [1, 2, 3]) assert.equal((await runSeed(seed, [])).failure, undefined);
});

test("every mark has a name of its own", () => {
  const marks = marksInSource();
  assert.equal(new Set(marks).size, marks.length);
});
