import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { FilesystemLayoutSchema, Format } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { osDisks, overwriteLabel } from "./os-disks.ts";

const layoutOf = (filesystems: Readonly<Record<string, string>>, overwrite?: string) =>
  create(FilesystemLayoutSchema, {
    id: "l",
    disks: ["/dev/sda", "/dev/sdb", "/dev/nvme0n1", "/dev/nvme0n10"].map((device) => ({ device })),
    filesystems: Object.entries(filesystems).map(([path, device]) => ({ path, device, format: Format.EXT4 })),
    ...(overwrite !== undefined && { meta: { labels: { labels: { [overwriteLabel]: overwrite } } } }),
  });

const textOf = (layout: ReturnType<typeof layoutOf>): string => {
  const disks = osDisks(layout);
  return disks.ok ? `${disks.value.overwritten.join(" ")} | ${disks.value.kept.join(" ")}` : disks.error;
};

for (const [what, layout, text] of [
  [
    "one disk for the system",
    layoutOf({ "/": "/dev/sda2", "/data": "/dev/sdb1" }),
    "/dev/sda | /dev/sdb /dev/nvme0n1 /dev/nvme0n10",
  ],
  [
    "what starts it may be elsewhere",
    layoutOf({ "/": "/dev/sdb1", "/boot": "/dev/sda1" }),
    "/dev/sda /dev/sdb | /dev/nvme0n1 /dev/nvme0n10",
  ],
  [
    "names of which one begins with the other",
    layoutOf({ "/": "/dev/nvme0n10p1" }),
    "/dev/nvme0n10 | /dev/sda /dev/sdb /dev/nvme0n1",
  ],
  [
    "a label marks more",
    layoutOf({ "/": "/dev/sda2" }, "/dev/sda  /dev/sdb"),
    "/dev/sda /dev/sdb | /dev/nvme0n1 /dev/nvme0n10",
  ],
  [
    "a label cannot leave out the system",
    layoutOf({ "/": "/dev/sda2" }, "/dev/sdb"),
    `filesystem layout l: label ${overwriteLabel} leaves out /dev/sda, which carries the system`,
  ],
  [
    "nor name what is none of its disks",
    layoutOf({ "/": "/dev/sda2" }, "/dev/sda /dev/sdc"),
    `filesystem layout l: label ${overwriteLabel} names /dev/sdc, which is none of its disks`,
  ],
  [
    "a system on no disk of the layout",
    layoutOf({ "/": "/dev/md0" }),
    "filesystem layout l: filesystem / is on /dev/md0, on none of its disks",
  ],
  ["no system at all", layoutOf({ "/data": "/dev/sda1" }), "filesystem layout l: no file system has the path /"],
] as const) {
  test(`disks that a reinstallation writes anew, and those that it keeps: ${what}`, () =>
    assert.equal(textOf(layout), text));
}
