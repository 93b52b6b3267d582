import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#lib/log.ts";
import type { Refusal } from "#lib/refusal.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { Connections, silentMs } from "./connections.ts";

function bench() {
  const clock = new VirtualClock();
  const connections = new Connections(clock, silentLog);
  const cuts: string[] = [];
  const enter = (partition: string, agent: string, beats = true) =>
    connections.enter(partition, { agent, beats, cut: (why: Refusal) => void cuts.push(`${agent} ${why.reason}`) });
  return { clock, connections, cuts, enter };
}

test("a partition is up while its agent has a stream open, however many times it opens and leaves one", () => {
  const { connections, enter } = bench();
  const [first, second] = [enter("p1", "life-1"), enter("p1", "life-1")];
  first();
  first();
  assert.ok(connections.isUp("p1"));
  second();
  assert.ok(!connections.isUp("p1"));
});

test("a second life beside the first is refused and remembered; after the first has left it may come", () => {
  const { connections, enter } = bench();
  const leave = enter("p1", "life-1");
  assert.throws(() => enter("p1", "life-2"), /another agent is connected under this identity \(life life-1\)/);
  assert.ok(connections.hasClone("p1"));
  enter("p2", "life-2");
  leave();
  enter("p1", "life-2");
  assert.ok(connections.isUp("p1") && !connections.hasClone("p1"));
});

test("a second life may not report either, and is remembered as a clone", () => {
  const { connections, enter } = bench();
  enter("p1", "life-1");
  connections.heard("p1", "life-1");
  assert.throws(() => connections.heard("p1", "life-2"), /another agent is connected/);
  assert.ok(connections.hasClone("p1"));
  connections.heard("p2", "life-2");
});

test("an agent that reports is not cut, one that is silent is, and one of before the beats never", () => {
  const { clock, connections, cuts, enter } = bench();
  enter("p1", "life-1");
  enter("p2", "life-2", false);
  clock.advance(silentMs);
  connections.heard("p1", "life-1");
  clock.advance(silentMs);
  for (const [partition, agent] of [
    ["p1", "life-1"],
    ["p2", "life-2"],
  ] as const)
    connections.cutSilent(partition, agent);
  assert.deepEqual(cuts, []);
  clock.advance(1);
  connections.cutSilent("p1", "life-1");
  assert.deepEqual(cuts, ["life-1 AGENT_SILENT"]);
});

test("a restarted agent takes the place of its former life when that has fallen silent, though its stream is still open", () => {
  const { clock, connections, enter } = bench();
  let leave = () => {};
  leave = connections.enter("p1", { agent: "life-1", beats: true, cut: () => leave() });
  clock.advance(silentMs);
  assert.throws(() => enter("p1", "life-2"));
  clock.advance(1);
  enter("p1", "life-2");
  connections.heard("p1", "life-2");
  assert.throws(() => connections.heard("p1", "life-1"), /life life-2/);
});
