import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { AwaitedRevisions } from "./awaited-revisions.ts";

function setUp() {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const awaited = new AwaitedRevisions(clock, 100);
  const heard: string[] = [];
  const wait = (revision: bigint) =>
    void awaited.reached(revision, stop.signal).then((isReached) => heard.push(`${revision} ${isReached}`));
  return { clock, stop, awaited, heard, wait };
}

test("each waits until its own revision is shown, whatever the order in which they came", async () => {
  const { awaited, heard, wait } = setUp();
  for (const revision of [3n, 1n, 2n]) wait(revision);
  awaited.rise(2n);
  await turn();
  assert.deepEqual(heard, ["1 true", "2 true"]);
  awaited.rise(9n);
  await turn();
  assert.deepEqual(heard.slice(2), ["3 true"]);
});

test("each is told after its own time that it was not shown, also those that began while others waited", async () => {
  const { clock, awaited, heard, wait } = setUp();
  wait(1n);
  clock.advance(60);
  wait(2n);
  wait(3n);
  clock.advance(39);
  await turn();
  assert.deepEqual(heard, []);
  clock.advance(1);
  await turn();
  assert.deepEqual(heard, ["1 false"]);
  awaited.rise(2n);
  clock.advance(60);
  await turn();
  assert.deepEqual(heard.slice(1), ["2 true", "3 false"]);
});

test("a stop ends all waits, and who comes later does not wait", async () => {
  const { stop, heard, wait } = setUp();
  wait(1n);
  wait(2n);
  stop.abort();
  wait(3n);
  await turn();
  assert.deepEqual(heard.sort(), ["1 false", "2 false", "3 false"]);
});
