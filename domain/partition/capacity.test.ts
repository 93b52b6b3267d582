import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import { SizeReservationSchema } from "#gen/metalstack/api/v2/size_reservation_pb.ts";
import type { MachineView } from "../machine/placement.ts";
import { partitionCapacity } from "./capacity.ts";

type Desired = Omit<MessageInitShape<typeof MachineDesiredSchema>, "$typeName">;

const machine = (uuid: string, desired: Desired = {}): MachineView => ({
  desired: create(MachineDesiredSchema, { uuid, partition: "p", epoch: 1n, ...desired }),
  observed: create(MachineObservedSchema, {
    uuid,
    size: "small",
    waiting: true,
    epoch: 1n,
    wipedEpoch: 1n,
    liveliness: MachineLiveliness.ALIVE,
  }),
});

const reserved = (project: string, amount: number) =>
  create(SizeReservationSchema, { project, amount, size: "small", partitions: ["p"] });

test("a machine that is delegated for a project is used of its reservation, as one that is allocated, and keeps none free", () => {
  const machines = [
    machine("1", { allocation: { project: "mine" } }),
    machine("2", { delegated: { project: "mine" } }),
    machine("3", { delegated: { project: "other" } }),
    ...["4", "5", "6"].map((uuid) => machine(uuid)),
  ];
  const { machineSizeCapacities } = partitionCapacity("p", {
    machines,
    reservations: [reserved("mine", 3), reserved("other", 2)],
    issuesOf: () => [],
  });
  const [small] = machineSizeCapacities;
  assert.deepEqual(
    [small?.reservations, small?.usedReservations, small?.remainingReservations, small?.allocatable, small?.free],
    [5n, 3n, 2n, 3n, 1n],
  );
});
