import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { bootTarget } from "./boot-target.ts";
import { allocationToInstall, keepsDisks, nextReinstallNumber, noteBegun, systemOnDisk } from "./reinstall.ts";

type Order = MessageInitShape<typeof MachineDesiredSchema>["reinstall"];
type Seen = MessageInitShape<typeof MachineObservedSchema>;

const desired = (reinstall?: Order) =>
  create(MachineDesiredSchema, { epoch: 4n, allocation: { project: "p" }, ...(reinstall && { reinstall }) });
const observed = (more: Seen = {}) => create(MachineObservedSchema, { installedEpoch: 4n, ...more });
const free = create(MachineDesiredSchema, { epoch: 5n });

/** Where it boots from, what of its system there is, and what happens to its disks. */
const stateOf = (d: ReturnType<typeof desired>, o: ReturnType<typeof observed>): string =>
  `${bootTarget(d, o)}, ${systemOnDisk(d, o)}, ${keepsDisks(d, o) ? "kept" : "wiped"}`;

for (const [what, d, o, state] of [
  ["never installed", desired(), observed({ installedEpoch: 3n }), "installer, none, wiped"],
  ["in use", desired(), observed(), "disk, whole, kept"],
  ["released", free, observed(), "installer, none, wiped"],
  ["ordered", desired({ number: 1 }), observed(), "installer, whole, kept"],
  [
    "ordered, and its installation was forgotten",
    desired({ number: 1, keeps: true }),
    observed({ installedEpoch: 0n }),
    "installer, none, kept",
  ],
  [
    "ordered before it was ever installed",
    desired({ number: 1 }),
    observed({ installedEpoch: 3n }),
    "installer, none, wiped",
  ],
  ["booted for it", desired({ number: 1 }), observed({ reinstall: { epoch: 4n, begun: 1 } }), "installer, whole, kept"],
  [
    "overwriting",
    desired({ number: 1 }),
    observed({ reinstall: { epoch: 4n, begun: 1, overwritten: 1 } }),
    "installer, overwritten, kept",
  ],
  [
    "done",
    desired({ number: 1 }),
    observed({ reinstall: { epoch: 4n, begun: 1, overwritten: 1, installed: 1 } }),
    "disk, whole, kept",
  ],
  [
    "done, and ordered once more",
    desired({ number: 2 }),
    observed({ reinstall: { epoch: 4n, begun: 1, overwritten: 1, installed: 1 } }),
    "installer, whole, kept",
  ],
  [
    "aborted in time",
    desired({ number: 1, aborted: true }),
    observed({ reinstall: { epoch: 4n, begun: 1 } }),
    "disk, whole, kept",
  ],
  [
    "aborted too late",
    desired({ number: 1, aborted: true }),
    observed({ reinstall: { epoch: 4n, begun: 1, overwritten: 1 } }),
    "installer, overwritten, kept",
  ],
  [
    "a second order aborted, whose first had overwritten",
    desired({ number: 2, aborted: true }),
    observed({ reinstall: { epoch: 4n, begun: 2, overwritten: 1 } }),
    "installer, overwritten, kept",
  ],
  [
    "aborted where there never was a system",
    desired({ number: 1, aborted: true }),
    observed({ installedEpoch: 3n }),
    "installer, none, wiped",
  ],
  [
    "overwriting, and the order was forgotten",
    desired(),
    observed({ reinstall: { epoch: 4n, begun: 1, overwritten: 1 } }),
    "installer, overwritten, kept",
  ],
  [
    "done by an order that was forgotten, which an older one does not repeat",
    desired({ number: 1 }),
    observed({ reinstall: { epoch: 4n, begun: 2, overwritten: 2, installed: 2 } }),
    "disk, whole, kept",
  ],
  [
    "numbers of another epoch",
    desired(),
    observed({ reinstall: { epoch: 3n, begun: 2, overwritten: 2 } }),
    "disk, whole, kept",
  ],
] as const) {
  test(`a machine that is to be reinstalled: ${what}`, () => assert.equal(stateOf(d, o), state));
}

test("a boot into the installer counts for the order that is to be carried out by then", () => {
  const m = observed({ reinstall: { epoch: 3n, begun: 9, overwritten: 9, installed: 9 } });
  noteBegun(m, desired());
  assert.equal(m.reinstall?.epoch, 3n);
  noteBegun(m, desired({ number: 2 }));
  assert.deepEqual([m.reinstall?.epoch, m.reinstall?.begun, m.reinstall?.overwritten], [4n, 2, 0]);
});

test("a new order has a number above all that either side remembers", () => {
  assert.equal(nextReinstallNumber(desired(), observed()), 1);
  assert.equal(nextReinstallNumber(desired({ number: 2 }), observed()), 3);
  assert.equal(nextReinstallNumber(desired({ number: 2 }), observed({ reinstall: { epoch: 4n, begun: 4 } })), 5);
  assert.equal(nextReinstallNumber(desired(), observed({ reinstall: { epoch: 3n, begun: 4 } })), 1);
});

test("what was called off too late installs its own image", () => {
  const d = desired({ number: 1, aborted: true, image: { id: "new" } });
  assert.equal(allocationToInstall(d)?.image?.id, "new");
  assert.equal(allocationToInstall(desired())?.image, undefined);
});
