import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { NetworkSchema } from "#gen/metalstack/api/v2/network_pb.ts";
import { differs, itemDifference } from "./item-difference.ts";

const item = (revision: bigint, value: Uint8Array<ArrayBuffer>, kind = "network") =>
  create(DesiredItemSchema, { kind, id: "n", revision, value });
const network = (revision: bigint, init: MessageInitShape<typeof NetworkSchema>) =>
  item(revision, toBinary(NetworkSchema, create(NetworkSchema, { id: "n", ...init })));
const [old, young] = [network(1n, { prefixes: ["10.0.0.0/8"] }), network(2n, { prefixes: ["10.0.0.0/9"], vrf: 7 })];
const shown = (sides: Parameters<typeof itemDifference>[1]) => {
  const { inForce, held, fields } = itemDifference("n", sides);
  return `${inForce} | ${held} | ${fields.join(" ")}`;
};

test("an item is told by what each history has, and by the names of what differs", () => {
  assert.equal(shown({ inForce: young, held: old }), "revision 2 | revision 1 | prefixes vrf");
  assert.equal(shown({ inForce: old, held: undefined }), "revision 1 | unknown | ");
  assert.equal(shown({ inForce: undefined, held: old }), "unknown | revision 1 | ");
  assert.equal(shown({ inForce: old, held: { ...old, revision: 9n } }), "revision 1 | revision 9 | ");
});

test("what this agent cannot read differs without a name", () => {
  const [a, b] = [item(1n, Uint8Array.of(1), "weather"), item(1n, Uint8Array.of(2), "weather")];
  assert.equal(shown({ inForce: a, held: b }), "revision 1 | revision 1 | unknown");
  const later = { ...old, value: Uint8Array.of(...old.value, 0x80, 0x7d, 7) };
  assert.equal(shown({ inForce: old, held: later }), "revision 1 | revision 1 | unknown");
});

test("two that have the same, or both nothing, do not differ", () => {
  assert.deepEqual(
    [
      { inForce: old, held: { ...old } },
      { inForce: undefined, held: undefined },
      { inForce: old, held: young },
      { inForce: old, held: undefined },
      { inForce: undefined, held: old },
    ].map(differs),
    [false, false, true, true, true],
  );
});
