import { type DiskPartition, type FilesystemLayout, GPTType } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import type { DiskFacts } from "./facts.ts";

/** One disk as it shall be cut up. Positions are in sectors of 512 bytes. */
export interface DiskPlan {
  readonly device: string;
  readonly partitions: readonly PartitionPlan[];
}

export interface PartitionPlan {
  readonly number: number;
  /** Such as /dev/nvme0n1p2. */
  readonly device: string;
  readonly startSector: number;
  readonly sectors: number;
  /** GUID, upper case. */
  readonly type: string;
  readonly label: string;
}

/** In the gap before the first aligned partition: there under any layout, so that BIOS machines can start from it. */
export const biosBootNumber = 128;
const biosBoot = { startSector: 34, sectors: 2014, type: "21686148-6449-6E6F-744E-656564454649", label: "bios-boot" };
/** 1 MiB: what every disk's inner block size divides. */
const alignSectors = 2048;
/** GPT's second copy. @source UEFI 2.10 §5.3.2 */
const tailSectors = 33;
export const espType = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";

const linuxType = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";
const types: Readonly<Record<number, string>> = {
  [GPTType.GPT_TYPE_BOOT]: espType,
  [GPTType.GPT_TYPE_LINUX]: linuxType,
  [GPTType.GPT_TYPE_LINUX_RAID]: "A19D880F-05FC-4D3B-A006-743F0F84911E",
  [GPTType.GPT_TYPE_LINUX_LVM]: "E6D6D379-F507-44C2-A23C-238F2A3DF928",
};

/** Which partitions to make, or why the layout does not fit this server. */
export function partitionPlan(layout: FilesystemLayout, disks: readonly DiskFacts[]): Result<readonly DiskPlan[]> {
  if (layout.raid.length > 0) return fail(`filesystem layout ${layout.id}: raid is not supported yet`);
  if (layout.volumeGroups.length > 0 || layout.logicalVolumes.length > 0)
    return fail(`filesystem layout ${layout.id}: logical volumes are not supported yet`);
  if (layout.disks.length === 0) return fail(`filesystem layout ${layout.id}: it names no disk`);
  const plans: DiskPlan[] = [];
  for (const wanted of layout.disks) {
    const disk = disks.find((d) => d.device === wanted.device);
    const there = disks.map((d) => d.device).join(", ") || "none";
    if (disk === undefined)
      return fail(`filesystem layout ${layout.id}: disk ${wanted.device} is not in this machine (disks: ${there})`);
    const plan = diskPlan(disk, wanted.partitions);
    if (!plan.ok) return plan;
    plans.push(plan.value);
  }
  return ok(plans);
}

function diskPlan(disk: DiskFacts, wanted: readonly DiskPartition[]): Result<DiskPlan> {
  const end = Math.floor(disk.sizeBytes / 512) - tailSectors;
  const partitions: PartitionPlan[] = [
    { number: biosBootNumber, device: partitionDevice(disk.device, biosBootNumber), ...biosBoot },
  ];
  let at = alignSectors;
  for (const [i, p] of wanted.entries()) {
    const name = `disk ${disk.device} partition ${p.number}`;
    if (p.number < 1 || p.number >= biosBootNumber)
      return fail(`${name}: a number of 1 to ${biosBootNumber - 1} is wanted`);
    if (partitions.some((x) => x.number === p.number)) return fail(`${name}: the number is taken twice`);
    if (p.size === 0n && i !== wanted.length - 1)
      return fail(`${name}: only the last partition can take the rest of the disk`);
    const sectors = p.size === 0n ? alignedDown(end - at) : Number(p.size) * alignSectors;
    if (sectors < alignSectors || at + sectors > end) {
      const missing = p.size === 0n ? "the rest" : `${p.size} MiB`;
      return fail(
        `${name}: ${missing} does not fit, the disk has ${mib(disk.sizeBytes)} MiB and ${Math.max(0, Math.floor((end - at) / alignSectors))} MiB are left`,
      );
    }
    partitions.push({
      number: p.number,
      device: partitionDevice(disk.device, p.number),
      startSector: at,
      sectors,
      type: types[p.gptType ?? GPTType.GPT_TYPE_LINUX] ?? linuxType,
      label: p.label ?? "",
    });
    at += sectors;
  }
  return ok({ device: disk.device, partitions });
}

/** A name that ends in a digit takes a p before the number; one under by-path or by-id takes -part. */
export function partitionDevice(disk: string, number: number): string {
  if (disk.startsWith("/dev/disk/")) return `${disk}-part${number}`;
  return `${disk}${/\d$/.test(disk) ? "p" : ""}${number}`;
}

/** What sfdisk reads on its standard input. @source sfdisk(8), "named fields" */
export function sfdiskScript(plan: DiskPlan): string {
  const lines = plan.partitions.map((p) => {
    const label = p.label === "" ? "" : `, name="${p.label.replace(/["\\]/g, "")}"`;
    return `${p.number} : start=${p.startSector}, size=${p.sectors}, type=${p.type}${label}`;
  });
  return `${["label: gpt", "unit: sectors", "first-lba: 34", "", ...lines].join("\n")}\n`;
}

const alignedDown = (sectors: number): number => Math.floor(sectors / alignSectors) * alignSectors;
const mib = (bytes: number): number => Math.floor(bytes / 2 ** 20);
