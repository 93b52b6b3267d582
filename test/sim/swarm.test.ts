import assert from "node:assert/strict";
import { test } from "node:test";
import type { Fault } from "./fault.ts";
import { faultNames, faults } from "./faults.ts";
import type { Outcome } from "./run.ts";
import { shrink } from "./shrink.ts";
import { chosenText, everyMs, faultsOf, parseFaults, taken } from "./swarm.ts";

const seeds = Array.from({ length: 200 }, (_, seed) => seed);

test("a swarm has seeds with few faults and seeds with many", () => {
  const counts = seeds.map((seed) => faultsOf(seed).length);
  assert.ok(Math.min(...counts) <= 1, `fewest: ${Math.min(...counts)}`);
  assert.ok(Math.max(...counts) >= 25, `most: ${Math.max(...counts)}`);
});

test("a seed has a fault as often and as strongly whatever other faults it has", () => {
  for (const seed of seeds.slice(0, 20)) {
    for (const one of faultsOf(seed)) assert.deepEqual(taken(seed, { name: one.name, set: {} }), one);
  }
});

test("a fault is rare in some seeds and storms in others, weak in some and strong in others, within its bounds", () => {
  for (const name of faultNames) {
    const all = seeds.map((seed) => taken(seed, { name, set: {} }));
    const { strength = {} }: Fault = faults[name];
    const drawn = { everyMs: all.map((one) => one.everyMs) };
    for (const key of Object.keys(strength)) Object.assign(drawn, { [key]: all.map((one) => one.strength[key]) });
    for (const [key, values] of Object.entries(drawn)) {
      const [least, most] = { everyMs, ...strength }[key]!;
      const [weakest, strongest] = [Math.min(...values), Math.max(...values)];
      assert.ok(weakest >= least && strongest <= most, `${name}: ${key} ${weakest} to ${strongest}`);
      assert.ok(Math.log(strongest / weakest) > 0.8 * Math.log(most / least), `${name}: ${key}`);
    }
  }
});

test("faults are chosen by their names, with what is set of them, and what none has is told", () => {
  const chosen = [
    { name: "link cut", set: {} },
    { name: "link slow", set: { delayMs: 2_000, everyMs: 60_000 } },
  ] as const;
  const text = "link cut,link slow:delayMs=2000:everyMs=60000";
  assert.deepEqual(parseFaults(text), chosen);
  assert.equal(chosenText(chosen), text);
  assert.deepEqual([parseFaults("none"), chosenText([])], [[], "none"]);
  const drawn = taken(1, { name: "link slow", set: {} });
  assert.deepEqual(taken(1, { name: "link slow", set: { everyMs: 60_000 } }).strength, drawn.strength);
  assert.deepEqual(taken(1, chosen[1]).strength, { delayMs: 2_000 });
  assert.equal(parseFaults("link cut,rain"), 'no fault is called "rain"');
  assert.equal(parseFaults(""), 'no fault is called ""');
  assert.equal(parseFaults("link cut:delayMs=1"), 'link cut has no "delayMs"');
  assert.equal(parseFaults("link lossy:lostShare=2"), "link lossy cannot have lostShare 2");
  assert.equal(parseFaults("link lossy:lostShare"), "link lossy cannot have lostShare NaN");
});

test("a failed seed keeps the faults without which it fails in no way or in another", async () => {
  const runs: string[] = [];
  const run = async (seed: number, some: Outcome["faults"]) => {
    const names = chosenText(some);
    runs.push(names);
    const other = names.includes("agent dies")
      ? "invariant 4 (a port): m2 is free"
      : "invariant 15 (without end): after 6 h";
    const failure = names.includes("link cut") ? other : undefined;
    return { seed, faults: some, failure, trace: [`with ${names}`] } as unknown as Outcome; // the rest is not asked for
  };
  const faults = (["link cut", "agent dies", "store slow"] as const).map((name) => taken(1, { name, set: {} }));
  const smallest = await shrink({ seed: 1, failure: "invariant 4 (a port): m1 is free", trace: [], faults }, run);
  assert.equal(chosenText(smallest.faults), "link cut,agent dies");
  assert.deepEqual(smallest.trace, ["with link cut,agent dies"]);
  assert.deepEqual(runs, ["agent dies,store slow", "link cut,store slow", "link cut,agent dies"]);
});
