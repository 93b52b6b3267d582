import assert from "node:assert/strict";
import { test } from "node:test";
import { Seeded } from "#lib/seeded.ts";
import { beginMs, Life } from "./life.ts";
import { Sightings } from "./sightings.ts";
import { Time } from "./time.ts";

test("a machine is heard until its call is answered, or the agent that answers it dies", async () => {
  const time = new Time(new Seeded(1));
  const sightings = new Sightings();
  const [first, second] = [new Life("agent#1", time), new Life("agent#2", time)];
  const newerByMs = (shownMs: number) => sightings.newerByMs("word", "m1", beginMs + shownMs);
  sightings.hears("m1", first);
  await time.runUntil(4, () => {});
  assert.deepEqual([newerByMs(4), newerByMs(5)], [0, 1]);
  first.end();
  await time.runUntil(1_000, () => {});
  assert.deepEqual([newerByMs(4), newerByMs(5)], [0, 1]);
  const answered = sightings.hears("m1", second);
  await time.runUntil(2_000, () => {});
  answered();
  second.end();
  await time.runUntil(3_000, () => {});
  assert.deepEqual([newerByMs(2_000), newerByMs(2_001)], [0, 1]);
});
