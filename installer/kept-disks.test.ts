import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ReinstallDutySchema } from "#gen/holdfast/install/v1/install_pb.ts";
import { disksOfReinstall, filesystemIdentifier, superblockBytes } from "./kept-disks.ts";
import { aDisk } from "./testing/builders.ts";

const known = [
  { device: "/dev/vda", serial: "DISK0", sizeBytes: 4n << 30n },
  { device: "/dev/vdb", serial: "DISK1", sizeBytes: 4n << 30n },
];
const system = aDisk();
const data = aDisk({ device: "/dev/vdb", serial: "DISK1" });
const found = (disks: readonly ReturnType<typeof aDisk>[], overwrite = ["/dev/vda"], disksKnown = known) => {
  const result = disksOfReinstall(create(ReinstallDutySchema, { overwrite, disks: disksKnown }), disks);
  if (!result.ok) return result.error;
  const names = (of: readonly { readonly device: string }[]) => of.map((d) => d.device).join(" ");
  return `${names(result.value.overwritten)} | ${names(result.value.kept)}`;
};

test("of a server that is as it was, the system's disks are overwritten and all others kept", () => {
  assert.equal(found([system, data]), "/dev/vda | /dev/vdb");
  assert.equal(found([system, data, aDisk({ device: "/dev/vdc", serial: "NEW" })]), "/dev/vda | /dev/vdb /dev/vdc");
});

test("nothing is overwritten when a disk is gone, has another's name, is another, or was never seen", () => {
  const swapped = [aDisk({ serial: "DISK1" }), aDisk({ device: "/dev/vdb", serial: "DISK0" })];
  assert.match(found(swapped), /^disk \/dev\/vda \(serial DISK0, 4294967296 bytes\) is another now: serial DISK1/);
  assert.match(found([system]), /^disk \/dev\/vdb .* is gone/);
  assert.match(found([system, aDisk({ device: "/dev/vdb", serial: "DISK1", sizeBytes: 1 })]), /is another now/);
  assert.match(found([system, data], ["/dev/vda"], []), /^disk \/dev\/vda was not there/);
  assert.match(found([system, data], []), /names no disk/);
});

const start = (...writes: readonly (readonly [number, string | readonly number[]])[]): Uint8Array => {
  const bytes = new Uint8Array(superblockBytes);
  for (const [at, what] of writes) bytes.set(typeof what === "string" ? new TextEncoder().encode(what) : what, at);
  return bytes;
};
const sixteen = Array.from({ length: 16 }, (_, i) => i + 0xa0);
const uuid = "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf";

test("a file system that is kept is known by what its superblock says", () => {
  assert.equal(filesystemIdentifier("ext4", start([1080, [0x53, 0xef]], [1128, sixteen])), uuid);
  assert.equal(filesystemIdentifier("swap", start([4086, "SWAPSPACE2"], [1036, sixteen])), uuid);
  const boot = [510, [0x55, 0xaa]] as const;
  assert.equal(filesystemIdentifier("vfat", start(boot, [82, "FAT32   "], [67, [4, 3, 2, 0x1f]])), "1F02-0304");
  assert.equal(filesystemIdentifier("vfat", start(boot, [54, "FAT16   "], [39, [4, 3, 2, 0x1f]])), "1F02-0304");
});

test("one that is another, or is not there, is not known", () => {
  for (const type of ["ext3", "ext4", "swap", "vfat", "tmpfs", "none"]) {
    assert.equal(filesystemIdentifier(type, start()), undefined);
    assert.equal(filesystemIdentifier(type, new Uint8Array(0)), undefined);
  }
});
