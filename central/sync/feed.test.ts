import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { create, type Message } from "@bufbuild/protobuf";
import { MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { NetworkSchema } from "#gen/metalstack/api/v2/network_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { HistoryChanged } from "../store/follower.ts";
import { type Kind, kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { itemsFor, type Projected, projected, SyncFeed } from "./feed.ts";

const machine = (partition: string) => create(MachineDesiredSchema, { uuid: "m", partition });
const network = (partition?: string) =>
  create(NetworkSchema, { id: "n", ...(partition !== undefined && { partition }) });

const change = (kind: Kind, value: Message | undefined, before?: Message) =>
  projected({ revision: 7n, changes: [{ kind, id: kind.name[0]!, value, before }] });
/** "m" there, "-m" gone. */
const seenBy = (one: Projected | undefined, partition: string): string =>
  one === undefined
    ? ""
    : itemsFor(one, partition)
        .map((i) => `${i.deleted ? "-" : ""}${i.id}`)
        .join(" ");

const moves: readonly (readonly [string, Projected | undefined, p1: string, p2: string])[] = [
  ["a machine of p1", change(kinds.machineDesired, machine("p1")), "m", ""],
  ["one that leaves p1 for p2", change(kinds.machineDesired, machine("p2"), machine("p1")), "-m", "m"],
  ["one that is gone", change(kinds.machineDesired, undefined, machine("p1")), "-m", ""],
  ["a size", change(kinds.size, create(SizeSchema, { id: "s" })), "s", "s"],
  ["a network of all", change(kinds.network, network()), "n", "n"],
  ["a network of all that becomes p1's", change(kinds.network, network("p1"), network()), "-n n", "-n"],
  ["a network of p1 that becomes all's", change(kinds.network, network(), network("p1")), "n", "n"],
  ["what no agent follows", change(kinds.tenant, create(SizeSchema)), "", ""],
];

for (const [what, one, p1, p2] of moves) {
  test(`${what}: p1 is told "${p1}", p2 "${p2}"`, () => {
    assert.deepEqual([seenBy(one, "p1"), seenBy(one, "p2")], [p1, p2]);
  });
}

test("a value is encoded once, for all agents and for every time that it is told", () => {
  const value = machine("p1");
  const [one, two] = [change(kinds.machineDesired, value), change(kinds.machineDesired, value)];
  assert.equal(one?.own.get("p1")?.[0]?.value, two?.own.get("p1")?.[0]?.value);
});

test("the feed begins anew when the store is restored, and goes on", async () => {
  let subscriptions = 0;
  let history = "old";
  const value = create(SizeSchema, { id: "a" });
  const restored = {
    get history() {
      return history;
    },
    revision: 7n,
    async *changes() {
      subscriptions++;
      yield {
        revision: 7n + BigInt(subscriptions),
        changes: [{ kind: kinds.size, id: "a", value, before: undefined }],
      };
      if (subscriptions > 1) return;
      history = "new";
      throw new HistoryChanged("old", "new");
    },
  } as unknown as State;
  const feed = new SyncFeed(restored, new VirtualClock());
  await feed.run(new AbortController().signal);
  assert.equal(subscriptions, 2);
  assert.deepEqual(
    [feed.holdsSince("old", 7n), feed.holdsSince("new", 7n), feed.holdsSince("new", 6n)],
    [false, true, false],
  );
  assert.equal(feed.open("p1", 7n).take()?.revision, 9n);
});

test("a change of all wakes the streams a few at a time, so that the first have it before the last are told", async () => {
  const clock = new VirtualClock();
  const value = create(SizeSchema, { id: "a" });
  const state = {
    history: "h",
    revision: 7n,
    async *changes() {
      yield { revision: 8n, changes: [{ kind: kinds.size, id: "a", value, before: undefined }] };
      await new Promise(() => {});
    },
  } as unknown as State;
  const feed = new SyncFeed(state, clock);
  const woken: number[] = [];
  for (let i = 0; i < 40; i++)
    void feed
      .open(`p${i}`, 7n)
      .bell.wait(new AbortController().signal)
      .then(() => woken.push(i));
  void feed.run(new AbortController().signal);
  const counts: number[] = [];
  for (let i = 0; i < 4; i++) {
    await turn();
    counts.push(woken.length);
    clock.advance(0);
  }
  assert.deepEqual(counts, [16, 32, 40, 40]);
  assert.deepEqual(
    woken,
    [...woken].sort((a, b) => a - b),
  );
});
