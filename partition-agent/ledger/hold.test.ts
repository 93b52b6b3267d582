import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { machineDifference } from "./hold.ts";

const uuid = "00000000-0000-4000-8000-000000000001";
const wanted = (epoch: bigint, project?: string) =>
  create(MachineDesiredSchema, { uuid, epoch, ...(project && { allocation: { project } }) });
const seen = (init: MessageInitShape<typeof MachineObservedSchema>) =>
  create(MachineObservedSchema, { uuid, boot: "b", ...init });

const consequences: readonly (readonly [string, Parameters<typeof machineDifference>[1], RegExp])[] = [
  [
    "an allocation that the restored central does not know",
    { inForce: wanted(6n, "a"), held: wanted(5n), seen: seen({ workedEpoch: 6n, installedEpoch: 6n }) },
    /left as it is until somebody reclaims it/,
  ],
  [
    "a machine that the restored central does not know",
    { inForce: wanted(6n, "a"), held: undefined, seen: seen({ workedEpoch: 6n }) },
    /left as it is until somebody reclaims it/,
  ],
  [
    "a machine that was released since the backup",
    { inForce: wanted(7n), held: wanted(6n, "a"), seen: seen({ wipedEpoch: 7n }) },
    /it is left as it is/,
  ],
  [
    "a free machine that the restored central has given to somebody",
    { inForce: wanted(7n), held: wanted(8n, "a"), seen: seen({ wipedEpoch: 7n }) },
    /it is installed for project a/,
  ],
  [
    "a machine that the restored central has released",
    { inForce: wanted(6n, "a"), held: wanted(8n), seen: seen({ workedEpoch: 6n, installedEpoch: 6n }) },
    /it is wiped/,
  ],
  [
    "a free machine that the restored central does not know",
    { inForce: wanted(1n), held: undefined, seen: seen({}) },
    /forgotten/,
  ],
];

for (const [what, sides, said] of consequences) {
  test(`${what}: the three sides and what comes of it are told`, () => {
    const told = machineDifference(uuid, sides);
    assert.match(told.consequence, said);
    assert.match(told.inForce, /^epoch \d+, (free|allocated to project a)$/);
    assert.notEqual(told.seen, "");
  });
}
