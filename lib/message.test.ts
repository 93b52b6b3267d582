import assert from "node:assert/strict";
import { test } from "node:test";
import { create, equals, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { FieldDescriptorProto_Type, FieldDescriptorProtoSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { MachineObservedSchema, MachineProgressSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { FollowResponseSchema, ReportEntrySchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { MetaSchema } from "#gen/metalstack/api/v2/common_pb.ts";
import { copyOf, isSame } from "./message.ts";

const machine = () =>
  create(MachineObservedSchema, {
    uuid: "m1",
    epoch: 3n,
    hardware: { nics: [{ mac: "52:54:00:00:00:01", neighbors: [{ mac: "52:54:00:00:00:02" }] }, { name: "eth1" }] },
    heardAt: timestampFromMs(1_700_000_000_123),
  });

/** A machine as a newer agent writes it: with a field that is not known here. */
const newer = () => fromBinary(MachineObservedSchema, Uint8Array.of(...bytesOf(machine()), 0xfa, 0x3f, 1, 42));

const bytesOf = (message: ReturnType<typeof machine>) => toBinary(MachineObservedSchema, message);

/** One of each shape that a generated message can have. */
const messages: Readonly<Record<string, () => Message>> = {
  "nested messages and lists of them": machine,
  "unknown fields": newer,
  bytes: () => create(ReportEntrySchema, { sequence: 7n, value: Uint8Array.of(1, 2, 3) }),
  "a map": () => create(MetaSchema, { labels: { labels: { rack: "r1", ["__proto__"]: "a label like any other" } } }),
  "a oneof": () => create(FollowResponseSchema, { event: { case: "heartbeat", value: {} } }),
  "a oneof without a case": () => create(FollowResponseSchema),
  "defaults in a prototype": () => create(FieldDescriptorProtoSchema, { type: FieldDescriptorProto_Type.BYTES }),
};

for (const [what, made] of Object.entries(messages)) {
  test(`a copy of a message with ${what} says the same`, () => {
    const copy = copyOf(made());
    assert.deepEqual(copy, made());
    assert.equal(Object.getPrototypeOf(copy), Object.getPrototypeOf(made()));
    assert.ok(isSame(copy, made()));
    for (const other of Object.values(messages)) if (other !== made) assert.ok(!isSame(copy, other()));
  });
}

test("nothing of a copy is shared with the original", () => {
  const original = newer();
  const copy = copyOf(original);
  copy.hardware!.nics[0]!.neighbors[0]!.mac = "changed";
  copy.hardware!.nics.pop();
  copy.heardAt!.seconds = 0n;
  copy.$unknown![0]!.data[0] = 0;
  assert.deepEqual(original, newer());
  const entry = create(ReportEntrySchema, { value: Uint8Array.of(1) });
  copyOf(entry).value[0] = 2;
  assert.deepEqual(entry.value, Uint8Array.of(1));
});

test("a field that was set to undefined is as good as one that was never set", () => {
  const taken = Object.assign(machine(), { heardAt: undefined });
  const never = create(MachineObservedSchema, { ...machine(), heardAt: undefined });
  delete never.heardAt;
  assert.ok(isSame(taken, never) && isSame(never, taken));
  assert.ok(equals(MachineObservedSchema, taken, never));
});

test("any one difference is seen, from both sides", () => {
  const changes: readonly ((m: ReturnType<typeof machine>) => unknown)[] = [
    (m) => (m.uuid = "m2"),
    (m) => (m.epoch = 4n),
    (m) => delete m.hardware,
    (m) => delete m.heardAt,
    (m) => (m.hardware!.nics[1]!.name = "eth2"),
    (m) => m.hardware!.nics.pop(),
    (m) => m.hardware!.nics.reverse(),
    (m) => (m.heardAt!.nanos += 1),
    (m) => (m.progress = create(MachineProgressSchema)),
  ];
  for (const change of changes) {
    const changed = machine();
    change(changed);
    assert.ok(!equals(MachineObservedSchema, machine(), changed), `${change}`);
    assert.ok(!isSame(machine(), changed) && !isSame(changed, machine()), `${change}`);
  }
});
