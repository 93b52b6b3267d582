import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineLiveliness, MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { composeMachine } from "./compose.ts";

const references = {
  partition: (id: string) => (id === "p1" ? create(PartitionSchema, { id, description: "one" }) : undefined),
  size: (id: string) => (id === "s1" ? create(SizeSchema, { id, name: "small" }) : undefined),
};

test("a machine shows what is wanted of it and what was seen of it, with its references expanded", () => {
  const desired = create(MachineDesiredSchema, {
    uuid: "u",
    partition: "p1",
    allocation: { name: "web" },
    condition: { state: MachineState.LOCKED, description: "why" },
  });
  const observed = create(MachineObservedSchema, {
    size: "s1",
    rack: "r1",
    room: "m1",
    hardware: { memory: 7n },
    liveliness: MachineLiveliness.ALIVE,
    installerVersion: "1",
  });
  const m = composeMachine(desired, observed, references);
  assert.deepEqual(
    [m.uuid, m.partition?.description, m.size?.name, m.rack, m.room, m.hardware?.memory, m.allocation?.name],
    ["u", "one", "small", "r1", "m1", 7n, "web"],
  );
  assert.deepEqual(
    [m.status?.condition?.state, m.status?.condition?.description, m.status?.liveliness, m.status?.metalHammerVersion],
    [MachineState.LOCKED, "why", MachineLiveliness.ALIVE, "1"],
  );
});

test("a machine that was never seen, in a partition that is gone, still shows: available, its liveliness unknown", () => {
  const m = composeMachine(create(MachineDesiredSchema, { uuid: "u", partition: "p2" }), undefined, references);
  assert.deepEqual([m.partition?.id, m.size, m.hardware, m.allocation], ["p2", undefined, undefined, undefined]);
  assert.deepEqual(
    [m.status?.condition?.state, m.status?.liveliness],
    [MachineState.AVAILABLE, MachineLiveliness.UNKNOWN],
  );
});

test("a size that is gone shows by its id", () => {
  const observed = create(MachineObservedSchema, { size: "s2" });
  assert.equal(composeMachine(create(MachineDesiredSchema, { uuid: "u" }), observed, references).size?.id, "s2");
});
