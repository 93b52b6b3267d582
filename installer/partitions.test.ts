import assert from "node:assert/strict";
import { test } from "node:test";
import { partitionDevice, partitionPlan, sfdiskScript } from "./partitions.ts";
import { aDisk, aLayout } from "./testing/builders.ts";

test("a plan has the layout's partitions on MiB bounds and the BIOS boot partition before them", () => {
  const plan = partitionPlan(aLayout(), [aDisk()]);
  assert.ok(plan.ok);
  assert.equal(
    sfdiskScript(plan.value[0]!),
    `label: gpt
unit: sectors
first-lba: 34

128 : start=34, size=2014, type=21686148-6449-6E6F-744E-656564454649, name="bios-boot"
1 : start=2048, size=131072, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="efi"
2 : start=133120, size=8253440, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="root"
`,
  );
});

test("the last partition ends before the second copy of the table", () => {
  const plan = partitionPlan(aLayout(), [aDisk({ sizeBytes: 4 * 2 ** 30 })]);
  const last = plan.ok ? plan.value[0]?.partitions.at(-1) : undefined;
  assert.ok(last !== undefined && last.startSector + last.sectors <= (4 * 2 ** 30) / 512 - 33);
});

for (const [disk, number, device] of [
  ["/dev/sda", 1, "/dev/sda1"],
  ["/dev/nvme0n1", 128, "/dev/nvme0n1p128"],
  ["/dev/disk/by-path/pci-0000:00:1f.2-ata-1", 2, "/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part2"],
] as const) {
  test(`partition ${number} of ${disk} is ${device}`, () => assert.equal(partitionDevice(disk, number), device));
}

const disks = (...partitions: readonly { number: number; size: bigint }[]) => ({
  disks: [{ device: "/dev/vda", partitions: [...partitions] }],
});
for (const [what, over, error] of [
  [
    "a disk that is not there",
    { disks: [{ device: "/dev/sda" }] },
    "filesystem layout default: disk /dev/sda is not in this machine (disks: /dev/vda)",
  ],
  [
    "a disk too small",
    disks({ number: 1, size: 5000n }),
    "disk /dev/vda partition 1: 5000 MiB does not fit, the disk has 4096 MiB and 4094 MiB are left",
  ],
  [
    "no room for the rest",
    disks({ number: 1, size: 4094n }, { number: 2, size: 0n }),
    "disk /dev/vda partition 2: the rest does not fit, the disk has 4096 MiB and 0 MiB are left",
  ],
  [
    "the rest in the middle",
    disks({ number: 1, size: 0n }, { number: 2, size: 1n }),
    "disk /dev/vda partition 1: only the last partition can take the rest of the disk",
  ],
  [
    "a number twice",
    disks({ number: 1, size: 1n }, { number: 1, size: 1n }),
    "disk /dev/vda partition 1: the number is taken twice",
  ],
  [
    "a number out of bounds",
    disks({ number: 128, size: 1n }),
    "disk /dev/vda partition 128: a number of 1 to 127 is wanted",
  ],
  ["RAID", { raid: [{ arrayName: "/dev/md0" }] }, "filesystem layout default: raid is not supported yet"],
  [
    "logical volumes",
    { volumeGroups: [{ name: "vg00" }] },
    "filesystem layout default: logical volumes are not supported yet",
  ],
  ["no disk", { disks: [] }, "filesystem layout default: it names no disk"],
] as const) {
  test(`refused by name: ${what}`, () =>
    assert.deepEqual(partitionPlan(aLayout(over as never), [aDisk()]), { ok: false, error }));
}
