import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineAllocationType, MachineLiveliness, MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Seeded } from "#lib/seeded.ts";
import {
  bestMachine,
  type MachineView,
  placeMachine,
  rackScore,
  shuffled,
  unavailability,
  unfitText,
} from "./placement.ts";

type Desired = Omit<MessageInitShape<typeof MachineDesiredSchema>, "$typeName">;
type Observed = Omit<MessageInitShape<typeof MachineObservedSchema>, "$typeName">;

const role = MachineAllocationType.MACHINE;
const wanted = { partition: "p", size: "small", project: "mine", role, placementLabels: {} };
const ready: Observed = {
  size: "small",
  rack: "a",
  waiting: true,
  epoch: 1n,
  liveliness: MachineLiveliness.ALIVE,
  wipedEpoch: 1n,
};
const machine = (uuid: string, observed: Observed = {}, desired: Desired = {}): MachineView => ({
  desired: create(MachineDesiredSchema, { uuid, partition: "p", epoch: 1n, ...desired }),
  observed: create(MachineObservedSchema, { uuid, ...ready, ...observed }),
});
const used = (uuid: string, rack: string, project = "mine", labels: Record<string, string> = {}, size = "small") =>
  machine(uuid, { rack, size }, { allocation: { project, allocationType: role, placementLabels: { labels } } });
const order = (machines: readonly MachineView[], more: Partial<typeof wanted> = {}, seed = (_: string) => 0) => {
  const placed = placeMachine(machines, { ...wanted, ...more }, seed);
  return placed.kind === "none" ? unfitText(placed.reasons) : placed.machines.map((m) => m.desired.uuid).join(" ");
};

describe("a machine is no candidate when it", () => {
  const rows: readonly [string, MachineView, string | undefined][] = [
    ["is free, waiting, alive and wiped, but it is", machine("m"), undefined],
    ["is allocated", machine("m", {}, { allocation: { project: "x" } }), "allocated"],
    ["is locked", machine("m", {}, { condition: { state: MachineState.LOCKED } }), "not available"],
    ["is tainted", machine("m", {}, { condition: { state: MachineState.TAINTED } }), "not available"],
    ["still holds what a release owes", machine("m", {}, { release: { epoch: 1n } }), "not isolated"],
    ["was never seen", { desired: machine("m").desired, observed: undefined }, "not waiting"],
    ["does not wait", machine("m", { waiting: false }), "not waiting"],
    ["waits for an epoch that is over", machine("m", {}, { epoch: 3n }), "not waiting"],
    ["is silent", machine("m", { liveliness: MachineLiveliness.DEAD }), "not alive"],
    ["was never wiped", machine("m", { wipedEpoch: 0n }), "not wiped"],
    ["was installed since it was wiped", machine("m", { installedEpoch: 2n, wipedEpoch: 1n }), "not wiped"],
    ["was wiped since it was installed, but it is", machine("m", { installedEpoch: 2n, wipedEpoch: 3n }), undefined],
    ["is being worked on", machine("m", { workedEpoch: 1n }), "not wiped"],
  ];
  for (const [name, view, unfit] of rows) test(name, () => assert.equal(unavailability(view, "choice"), unfit));
});

test("a tainted machine can be had by its uuid, a locked one cannot", () => {
  const of = (state: MachineState) => unavailability(machine("m", {}, { condition: { state } }), "uuid");
  assert.deepEqual([of(MachineState.TAINTED), of(MachineState.LOCKED)], [undefined, "not available"]);
});

test("when there is no candidate every machine counts under its first reason", () => {
  const elsewhere = machine("1", {}, { partition: "q" });
  const others = [machine("2", { size: "large" }), machine("3", { size: "" }), machine("4", { waiting: false })];
  assert.equal(order([elsewhere, ...others]), "1 other partition, 2 other size, 1 not waiting");
  assert.equal(order([]), "there are none");
});

describe("the best machine", () => {
  test("stands in the rack with the fewest machines of the project of that size", () => {
    const free = [machine("1", { rack: "a" }), machine("2", { rack: "b" }), machine("3", { rack: "c" })];
    const taken = [
      used("4", "a"),
      used("5", "a"),
      used("6", "b"),
      used("7", "c", "theirs"),
      used("8", "c", "mine", {}, "large"),
    ];
    assert.equal(order([...free, ...taken]), "3 2 1");
  });

  test("stands where none of the project shares its placement labels, before all else", () => {
    const free = [machine("1", { rack: "a" }), machine("2", { rack: "b" })];
    const taken = [used("3", "a", "mine", { app: "db" }), used("4", "b"), used("5", "b")];
    assert.equal(order([...free, ...taken], { placementLabels: { app: "db" } as never }), "2 1");
    assert.equal(order([...free, ...taken]), "1 2");
  });

  test("does not depend on the labels of other projects", () => {
    const free = [machine("1", { rack: "a" }), machine("2", { rack: "b" })];
    const taken = [used("3", "a", "theirs", { app: "db" }), used("4", "b", "mine")];
    assert.equal(order([...free, ...taken], { placementLabels: { app: "db" } as never }), "1 2");
  });

  test("is chosen among equals by the seed alone", () => {
    const free = [machine("1"), machine("2"), machine("3")];
    assert.equal(
      order(free, {}, (uuid) => -Number(uuid)),
      "3 2 1",
    );
    assert.equal(
      order(free, {}, (uuid) => Number(uuid)),
      "1 2 3",
    );
  });
});

test("racks whose names differ by a digit are first equally often", () => {
  const random = new Seeded(3);
  const first = new Map<string, number>();
  const racks = Array.from({ length: 40 }, (_, n) => `rack${n}`);
  for (let n = 0; n < 4_000; n++) {
    const seed = random.below(2 ** 31);
    const [rack = ""] = racks.toSorted((a, b) => shuffled(a, seed) - shuffled(b, seed));
    first.set(rack, (first.get(rack) ?? 0) + 1);
  }
  const counts = racks.map((rack) => first.get(rack) ?? 0);
  assert.ok(Math.min(...counts) > 50 && Math.max(...counts) < 150, `of 100 each: ${counts.join(" ")}`);
});

const uuidOf = ({ desired }: MachineView) => desired.uuid;

describe("who wants one", () => {
  const random = new Seeded(1);
  const machines = Array.from({ length: 200 }, (_, i) => {
    const rack = `r${random.below(7)}`;
    if (random.chance(0.3)) return used(`u${i}`, rack, "mine", random.chance(0.5) ? { app: "db" } : {});
    return machine(`m${i}`, { rack });
  });
  const more = { ...wanted, placementLabels: { app: "db" } };
  const shuffle = (name: string) => shuffled(name, 7);
  const score = rackScore(machines, more);
  const rackOf = new Map(machines.map(({ desired, observed }) => [desired.uuid, observed?.rack ?? ""]));
  const placed = placeMachine(machines, more, shuffle);
  const inOrder = placed.kind === "candidates" ? placed.machines.map(uuidOf) : [];
  const oneByOne = (isPreferred: (uuid: string) => boolean) => {
    const left = new Set(inOrder);
    const all = [...rackOf.keys()];
    const machinesIn = (rack: string) => all.filter((uuid) => rackOf.get(uuid) === rack);
    const isWanted = (uuid: string) => left.has(uuid);
    const preferences = { score, orderOfRack: shuffle, order: shuffle, isWanted, isPreferred };
    const next = () => bestMachine(new Set(rackOf.values()), machinesIn, preferences);
    const one: string[] = [];
    for (let best = next(); best !== undefined; best = next()) {
      one.push(best);
      left.delete(best);
    }
    return one;
  };

  test("gets the first of those that all are placed in, and then the next", () => {
    assert.ok(inOrder.length > 50);
    assert.deepEqual(
      oneByOne(() => true),
      inOrder,
    );
  });

  test("gets those that are preferred first, where racks are alike", () => {
    const isPreferred = (uuid: string) => Number(uuid.slice(1)) % 3 === 0;
    const scoreOf = (uuid: string) => score(rackOf.get(uuid) ?? "");
    const before = (a: string, b: string) =>
      scoreOf(a).labelled - scoreOf(b).labelled ||
      scoreOf(a).ofProject - scoreOf(b).ofProject ||
      Number(isPreferred(b)) - Number(isPreferred(a));
    assert.deepEqual(oneByOne(isPreferred), inOrder.toSorted(before));
  });
});
