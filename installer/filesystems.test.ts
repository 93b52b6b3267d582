import assert from "node:assert/strict";
import { test } from "node:test";
import { Format } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { filesystemPlan } from "./filesystems.ts";
import { partitionPlan } from "./partitions.ts";
import { aDisk, aLayout, countingRandom } from "./testing/builders.ts";

function planOf(over: Parameters<typeof aLayout>[0] = {}) {
  const layout = aLayout(over);
  const disks = partitionPlan(layout, [aDisk()]);
  assert.ok(disks.ok);
  return filesystemPlan(layout, disks.value, countingRandom());
}

test("file systems are made under identifiers of our choice, mounted outermost first, and named in fstab by them", () => {
  const plan = planOf({
    filesystems: [
      { device: "/dev/vda1", format: Format.VFAT, path: "/boot/efi", createOptions: ["-F", "32"] },
      { device: "/dev/vda2", format: Format.EXT4, path: "/", label: "root", mountOptions: ["noatime"] },
      { device: "tmpfs", format: Format.TMPFS, path: "/tmp", mountOptions: ["size=100m"] },
    ],
  });
  assert.ok(plan.ok);
  assert.deepEqual(
    plan.value.mounts.map((m) => `${m.device} ${m.path} ${m.type}`),
    ["/dev/vda2 / ext4", "/dev/vda1 /boot/efi vfat"],
  );
  assert.deepEqual(plan.value.make[0]?.args, ["-i", "01020304", "-F", "32", "/dev/vda1"]);
  assert.equal(
    plan.value.fstab,
    `UUID=0102-0304 /boot/efi vfat umask=0077,noauto,x-systemd.automount,x-systemd.idle-timeout=2min 0 2
UUID=${plan.value.rootUuid} / ext4 noatime 0 1
tmpfs /tmp tmpfs size=100m 0 0
`,
  );
  assert.deepEqual([plan.value.bootDisk, plan.value.espPath], ["/dev/vda", "/boot/efi"]);
});

test("a layout's own -E takes the place of ours", () => {
  const plan = planOf({
    filesystems: [{ device: "/dev/vda2", format: Format.EXT3, path: "/", createOptions: ["-E", "stride=16"] }],
  });
  assert.ok(plan.ok);
  assert.deepEqual(plan.value.make[0], {
    program: "/sbin/mkfs.ext3",
    args: ["-q", "-F", "-U", plan.value.rootUuid, "-E", "stride=16", "/dev/vda2"],
  });
  assert.equal(plan.value.hasEsp, false);
});

for (const [what, filesystems, error] of [
  [
    "no root",
    [{ device: "/dev/vda1", format: Format.VFAT, path: "/boot/efi" }],
    "filesystem layout default: no file system has the path /",
  ],
  [
    "a partition that is not made",
    [{ device: "/dev/vda9", format: Format.EXT4, path: "/" }],
    "filesystem layout default: filesystem / is on /dev/vda9, which is none of its partitions",
  ],
  [
    "a root that cannot hold one",
    [{ device: "/dev/vda2", format: Format.VFAT, path: "/" }],
    "filesystem layout default: / is vfat; ext3 or ext4 is wanted",
  ],
] as const) {
  test(`refused by name: ${what}`, () =>
    assert.deepEqual(planOf({ filesystems: filesystems.map((f) => ({ ...f })) }), { ok: false, error }));
}
