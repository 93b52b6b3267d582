import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { findMachine } from "./find-machine.ts";

const record = (uuid: string, hostname: string, mac: string) => ({
  uuid,
  desired: create(MachineDesiredSchema, {
    uuid,
    ...(hostname && { allocation: { hostname, name: `${hostname} of the shop` } }),
  } satisfies MessageInitShape<typeof MachineDesiredSchema>),
  observed: create(MachineObservedSchema, { uuid, hardware: { nics: [{ mac }] } }),
});
const machines = [
  record("aa000000-0000-4000-8000-000000000001", "web-1", "52:54:00:00:00:01"),
  record("aa000000-0000-4000-8000-000000000002", "aa00", "52:54:00:00:00:02"),
  record("bb000000-0000-4000-8000-000000000003", "", "52:54:00:00:00:03"),
  record("bb000000-0000-4000-8000-000000000004", "web-1", "52:54:00:00:00:03"),
];
const found = (word: string): string => findMachine(word, machines).uuid.slice(-1);

test("a machine is meant by its uuid, an unambiguous beginning of it, its MAC address, hostname or name", () => {
  assert.equal(found("AA000000-0000-4000-8000-000000000001"), "1");
  assert.equal(found("aa000000-0000-4000-8000-000000000002"), "2");
  assert.equal(found("52-54-00-00-00-02"), "2");
  assert.equal(found("aa00 of the shop"), "2");
  assert.equal(found("aa00"), "2", "a hostname goes before the beginning of a uuid");
});

test("a word that means several machines is refused with their uuids, one that means none with the word", () => {
  for (const word of ["web-1", "bb", "52:54:00:00:00:03"])
    assert.throws(() => found(word), {
      code: "invalid",
      reason: "MACHINE_AMBIGUOUS",
      message: /means 2 machines: .+, /,
    });
  assert.throws(() => found("52:54:00:00:00:09"), { code: "not-found", message: /hostname or name 52:54:00:00:00:09/ });
  assert.throws(() => findMachine("web-1", []), { reason: "MACHINE_UNKNOWN" });
});
