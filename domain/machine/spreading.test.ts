// Where a project's machines come to stand when it asks for one after the other.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineAllocationType, MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Seeded } from "#lib/seeded.ts";
import { type MachineView, placeMachine } from "./placement.ts";

const perRack = 20;

/** Racks of 20 free machines each. */
const room = (racks: number): MachineView[] =>
  Array.from({ length: racks * perRack }, (_, n) => {
    const uuid = `machine-${n}`;
    const seen = { uuid, size: "small", rack: `rack${n % racks}`, waiting: true, epoch: 1n, wipedEpoch: 1n };
    return {
      desired: create(MachineDesiredSchema, { uuid, partition: "lab", epoch: 1n }),
      observed: create(MachineObservedSchema, { ...seen, liveliness: MachineLiveliness.ALIVE }),
    };
  });

/** Gives the machines one by one to whoever asks. @returns how many of `counted` each rack has */
function given(racks: number, requests: readonly { readonly project: string; readonly tier?: string }[]) {
  const random = new Seeded(racks);
  const machines = room(racks);
  const role = MachineAllocationType.MACHINE;
  const byRack = new Map<string, number>();
  for (const { project, tier } of requests) {
    const placementLabels = tier === undefined ? {} : { tier };
    const wanted = { partition: "lab", size: "small", project, role, placementLabels };
    const placement = placeMachine(machines, wanted, () => random.between(0, 2 ** 31));
    assert.equal(placement.kind, "candidates");
    const best = placement.kind === "candidates" ? placement.machines[0] : undefined;
    assert.ok(best);
    const labels = { labels: placementLabels };
    const allocation = { uuid: `a-${best.desired.uuid}`, project, allocationType: role, placementLabels: labels };
    const desired = create(MachineDesiredSchema, { uuid: best.desired.uuid, partition: "lab", epoch: 2n, allocation });
    machines[machines.indexOf(best)] = { ...best, desired };
    const key = `${project} ${tier ?? ""} ${best.observed?.rack}`;
    byRack.set(key, (byRack.get(key) ?? 0) + 1);
  }
  return (project: string, tier = "") =>
    Array.from({ length: racks }, (_, r) => byRack.get(`${project} ${tier} rack${r}`) ?? 0);
}

const isEven = (counts: readonly number[]) => Math.max(...counts) - Math.min(...counts) <= 1;
const times = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one);

for (const racks of [1, 4, 40]) {
  test(`one project in ${racks} racks is spread within one of the ideal, at every count`, () => {
    for (const count of [1, racks - 1, racks, racks + 1, 3 * racks + 2, 15 * racks].filter(
      (n) => n > 0 && n <= racks * perRack,
    ))
      assert.ok(isEven(given(racks, times(count, { project: "p" }))("p")), `${count} machines`);
  });

  test(`two projects in ${racks} racks are each spread by themselves, however they take turns`, () => {
    const random = new Seeded(7);
    const requests = times(8 * racks, 0).map(() => ({ project: random.chance(0.3) ? "p" : "q" }));
    const counts = given(racks, requests);
    assert.ok(isEven(counts("p")), `p ${counts("p").join(" ")}`);
    assert.ok(isEven(counts("q")), `q ${counts("q").join(" ")}`);
  });

  test(`machines of one project with the same placement label keep apart in ${racks} racks, beside others of it`, () => {
    const random = new Seeded(11);
    const requests = times(9 * racks, 0).map(() => ({ project: "p", tier: random.chance(0.5) ? "db" : "web" }));
    const counts = given(racks, requests);
    assert.ok(isEven(counts("p", "db")), `db ${counts("p", "db").join(" ")}`);
    assert.ok(isEven(counts("p", "web")), `web ${counts("p", "web").join(" ")}`);
  });
}
