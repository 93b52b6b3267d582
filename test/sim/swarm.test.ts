import assert from "node:assert/strict";
import { test } from "node:test";
import type { Fault } from "./fault.ts";
import { faultNames, faults } from "./faults.ts";
import type { Outcome } from "./run.ts";
import { shrink } from "./shrink.ts";
import { everyMs, faultsOf, parseFaults, swarm } from "./swarm.ts";

const seeds = Array.from({ length: 200 }, (_, seed) => seed);

test("a swarm has seeds with few faults and seeds with many", () => {
  const counts = seeds.map((seed) => faultsOf(seed).length);
  assert.ok(Math.min(...counts) <= 1, `fewest: ${Math.min(...counts)}`);
  assert.ok(Math.max(...counts) >= 25, `most: ${Math.max(...counts)}`);
});

test("a seed has a fault as often and as strongly whatever other faults it has", () => {
  for (const seed of seeds.slice(0, 20)) {
    const all = swarm(seed, faultNames);
    for (const one of all) assert.deepEqual(swarm(seed, [one.name]), [one]);
  }
});

test("a fault is rare in some seeds and storms in others, weak in some and strong in others, within its bounds", () => {
  for (const name of faultNames) {
    const taken = seeds.map((seed) => swarm(seed, [name])[0]!);
    const { strength = {} }: Fault = faults[name];
    const drawn = { everyMs: taken.map((one) => one.everyMs) };
    for (const key of Object.keys(strength)) Object.assign(drawn, { [key]: taken.map((one) => one.strength[key]) });
    for (const [key, values] of Object.entries(drawn)) {
      const [least, most] = { everyMs, ...strength }[key]!;
      const [weakest, strongest] = [Math.min(...values), Math.max(...values)];
      assert.ok(weakest >= least && strongest <= most, `${name}: ${key} ${weakest} to ${strongest}`);
      assert.ok(Math.log(strongest / weakest) > 0.8 * Math.log(most / least), `${name}: ${key}`);
    }
  }
});

test("faults are chosen by their names, and a name that none has is told", () => {
  assert.deepEqual(parseFaults("agent dies, link cut"), ["link cut", "agent dies"]);
  assert.deepEqual(parseFaults("none"), []);
  assert.equal(parseFaults("link cut,rain"), 'no fault is called "rain"');
  assert.equal(parseFaults(""), 'no fault is called ""');
});

test("a failed seed keeps the faults without which it fails in no way or in another", async () => {
  const runs: string[] = [];
  const run = async (seed: number, some: Outcome["faults"]) => {
    runs.push(some.join(","));
    const failure = !some.includes("link cut")
      ? undefined
      : some.includes("agent dies")
        ? "invariant 4 (a port): m2 is free"
        : "invariant 15 (without end): after 6 h";
    return { seed, faults: some, failure, trace: [`with ${some.join(",")}`] } as unknown as Outcome; // the rest is not asked for
  };
  const failed = { seed: 1, failure: "invariant 4 (a port): m1 is free", trace: [] };
  const smallest = await shrink({ ...failed, faults: ["link cut", "agent dies", "store slow"] }, run);
  assert.deepEqual(smallest.faults, ["link cut", "agent dies"]);
  assert.deepEqual(smallest.trace, ["with link cut,agent dies"]);
  assert.deepEqual(runs, ["agent dies,store slow", "link cut,store slow", "link cut,agent dies"]);
});
