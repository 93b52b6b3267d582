import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MachineHardwareSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { SwitchSchema, SwitchOSVendor as Vendor } from "#gen/metalstack/api/v2/switch_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { cabled } from "./cabling.ts";
import { isSamePort } from "./port-names.ts";

const {
  SWITCH_OS_VENDOR_CUMULUS: cumulus,
  SWITCH_OS_VENDOR_SONIC: sonic,
  SWITCH_OS_VENDOR_UNSPECIFIED: other,
} = Vendor;
const uuid = "0e6a6e2c-93c4-4a67-9b5f-000000000001";

const leaf = (id: string, ports: readonly string[], more: MessageInitShape<typeof SwitchSchema> = {}) =>
  create(SwitchSchema, { id, rack: "r1", nics: ports.map((name) => ({ name, identifier: name })), ...more });

/** A machine whose interfaces hear these: `leaf1 swp1`. */
const hearing = (...neighbors: string[]) =>
  create(MachineHardwareSchema, {
    nics: neighbors.map((text) => {
      const [hostname = "", name = ""] = text.split(" ");
      return { neighbors: [{ hostname, name }] };
    }),
  });

test("two leaves of different vendors mean the same port by its place", () => {
  const rows: readonly (readonly [string, Vendor, string, Vendor, boolean])[] = [
    ["swp1", cumulus, "Ethernet0", sonic, true],
    ["swp2", cumulus, "Ethernet4", sonic, true],
    ["swp2s3", cumulus, "Ethernet7", sonic, true],
    ["swp2", cumulus, "Ethernet2", sonic, false],
    ["swp1", cumulus, "swp1", cumulus, true],
    ["Ethernet0", sonic, "Ethernet4", sonic, false],
    ["swp0", cumulus, "Ethernet0", sonic, false],
    ["swp1s4", cumulus, "Ethernet4", sonic, false],
    ["eth0", other, "eth0", sonic, true],
    ["bond1", cumulus, "bond1", sonic, false],
  ];
  for (const [a, va, b, vb, expected] of rows)
    assert.equal(isSamePort({ name: a, vendor: va }, { name: b, vendor: vb }), expected, `${a} ${b}`);
});

test("a machine is at the same port of both leaves, and leaves the ports where it was", () => {
  const old = leaf("leaf3", ["swp9"], { machineConnections: [{ machineId: uuid, nic: { name: "swp9" } }] });
  const leaves = [leaf("leaf1", ["swp1", "swp2"]), leaf("leaf2", ["swp1"]), old];
  const { changed, leaves: at } = cabled(uuid, hearing("leaf1 swp1", "leaf2 swp1", "printer p7"), leaves);
  assert.deepEqual(
    changed.map((s) => [s.id, s.machineConnections.map((c) => [c.machineId, c.nic?.name])]),
    [
      ["leaf1", [[uuid, "swp1"]]],
      ["leaf2", [[uuid, "swp1"]]],
      ["leaf3", []],
    ],
  );
  assert.deepEqual(
    at.map((s) => s.id),
    ["leaf1", "leaf2"],
  );
  const again = changed.filter((s) => s.id !== "leaf3");
  assert.deepEqual(cabled(uuid, hearing("leaf1 swp1", "leaf2 swp1"), again).changed, []);
});

test("who hears nobody that is known stays where it was last", () => {
  const at = leaf("leaf1", ["swp1"], { machineConnections: [{ machineId: uuid, nic: { name: "swp1" } }] });
  assert.deepEqual(cabled(uuid, hearing("printer p7"), [at]), { changed: [], leaves: [] });
  assert.deepEqual(cabled(uuid, undefined, [at]), { changed: [], leaves: [] });
});

test("cables that would give a machine half of its networks are refused, with the ports", () => {
  const leaves = [
    leaf("leaf1", ["swp1", "swp2"]),
    leaf("leaf2", ["swp1", "swp2"]),
    leaf("leaf3", ["swp1"]),
    leaf("far", ["swp1"], { rack: "r2" }),
    leaf("full", ["swp1"], { machineConnections: [{ machineId: "another", nic: { name: "swp1" } }] }),
  ];
  const rows: readonly (readonly [readonly string[], RegExp])[] = [
    [["leaf1 swp1", "leaf2 swp2"], /at leaf1 swp1, leaf2 swp2: the ports of both leaves differ/],
    [["leaf1 swp1", "leaf1 swp2"], /one port of each leaf/],
    [["leaf1 swp1", "leaf2 swp1", "leaf3 swp1"], /one port of each leaf/],
    [["leaf1 swp1", "far swp1"], /several racks: r1, r2/],
    [["full swp1"], /the port is machine another's/],
  ];
  for (const [heard, text] of rows)
    assert.throws(
      () => cabled(uuid, hearing(...heard), leaves),
      (e) => e instanceof Refusal && e.reason === "CABLING" && text.test(e.message),
      `${text}`,
    );
});
