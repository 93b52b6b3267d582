// What a filesystem layout must hold to, so that the installer can carry it out on any disk that is large enough.
import {
  type Disk,
  type FilesystemLayout,
  Format,
  GPTType,
  LVMType,
  RaidLevel,
} from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { parseVersionConstraint } from "../image/constraint.ts";

/** Entries of one kind in one layout. */
const entriesMax = 128;

/** Why a layout cannot be taken as it is; undefined when it can. */
export function badLayout(layout: FilesystemLayout): string | undefined {
  const { filesystems, disks, raid, volumeGroups, logicalVolumes } = layout;
  for (const [what, entries] of Object.entries({ filesystems, disks, raid, volumeGroups, logicalVolumes })) {
    if (entries.length > entriesMax) return `${entries.length} ${what} exceed ${entriesMax}`;
  }
  const devices = new Set<string>();
  return (
    repeated(
      "disk",
      disks.map((d) => d.device),
    ) ??
    first(disks, (disk) => badDisk(disk, devices)) ??
    badRaids(layout, devices) ??
    badVolumes(layout, devices) ??
    badFilesystems(layout, devices) ??
    badConstraints(layout)
  );
}

/** The name that the kernel gives to a disk's partition: /dev/sda1, but /dev/nvme0n1p1. */
export const partitionDevice = (disk: string, number: number): string =>
  /\d$/.test(disk) ? `${disk}p${number}` : `${disk}${number}`;

function badDisk(disk: Disk, devices: Set<string>): string | undefined {
  if (!/^\/dev\/\S+$/.test(disk.device)) return `disk ${disk.device}: a device such as /dev/sda is wanted`;
  const { partitions, device } = disk;
  if (partitions.length > entriesMax) return `disk ${device}: ${partitions.length} partitions exceed ${entriesMax}`;
  for (const [i, partition] of partitions.entries()) {
    const name = `partition ${partition.number} of disk ${device}`;
    if (partition.number < 1 || partition.number > entriesMax) return `${name}: the number must be 1 to ${entriesMax}`;
    if (partition.size === 0n && i < partitions.length - 1) {
      return `${name}: only the last partition may take the rest (size 0)`;
    }
    if (partition.size >= 1n << 44n) return `${name}: ${partition.size} MiB is larger than any disk`;
    if (partition.gptType === undefined || partition.gptType === GPTType.GPT_TYPE_UNSPECIFIED) {
      return `${name}: a GPT type is wanted`;
    }
    const made = partitionDevice(device, partition.number);
    if (devices.has(made)) return `${name} is there twice`;
    devices.add(made);
  }
  return undefined;
}

function badRaids({ raid }: FilesystemLayout, devices: Set<string>): string | undefined {
  return first(raid, (array) => {
    const name = `raid ${array.arrayName}`;
    if (array.level === RaidLevel.RAID_LEVEL_UNSPECIFIED) return `${name}: a level is wanted`;
    const missing = array.devices.find((d) => !devices.has(d));
    if (missing !== undefined) return `${name}: ${missing} is not a partition of this layout, or in use already`;
    if (array.spares < 0 || array.devices.length - array.spares < 2) {
      return `${name}: ${array.devices.length} devices with ${array.spares} spares leave less than 2`;
    }
    for (const d of array.devices) devices.delete(d);
    if (devices.has(array.arrayName)) return `${name} is there twice`;
    devices.add(array.arrayName);
    return undefined;
  });
}

function badVolumes({ volumeGroups, logicalVolumes }: FilesystemLayout, devices: Set<string>): string | undefined {
  const groups = new Map<string, number>();
  const badGroup = first(volumeGroups, (group) => {
    const missing = group.devices.find((d) => !devices.has(d));
    if (missing !== undefined) return `volume group ${group.name}: ${missing} is not there, or in use already`;
    if (group.devices.length === 0) return `volume group ${group.name}: a device is wanted`;
    if (groups.has(group.name)) return `volume group ${group.name} is there twice`;
    for (const d of group.devices) devices.delete(d);
    groups.set(group.name, group.devices.length);
    return undefined;
  });
  if (badGroup !== undefined) return badGroup;
  return first(logicalVolumes, (volume) => {
    const name = `logical volume ${volume.name}`;
    const width = groups.get(volume.volumeGroup);
    if (width === undefined) return `${name}: there is no volume group ${volume.volumeGroup}`;
    const needsTwo = volume.lvmType === LVMType.LVM_TYPE_STRIPED || volume.lvmType === LVMType.LVM_TYPE_RAID1;
    if (needsTwo && width < 2) return `${name}: its kind wants at least 2 devices in ${volume.volumeGroup}`;
    const last = logicalVolumes.filter((v) => v.volumeGroup === volume.volumeGroup).at(-1);
    if (volume.size === 0n && last !== volume) return `${name}: only the last may take the rest (size 0)`;
    const made = `/dev/${volume.volumeGroup}/${volume.name}`;
    if (devices.has(made)) return `${name} is there twice`;
    devices.add(made);
    return undefined;
  });
}

function badFilesystems({ filesystems }: FilesystemLayout, devices: Set<string>): string | undefined {
  if (!filesystems.some((f) => f.path === "/")) return "a filesystem with the path / is wanted";
  const paths = filesystems.flatMap((f) => f.path ?? []);
  const labels = filesystems.flatMap((f) => f.label ?? []);
  return (
    repeated("path", paths) ??
    repeated("label", labels) ??
    first(filesystems, (f) => {
      if (f.path !== undefined && (!f.path.startsWith("/") || f.path.split("/").includes(".."))) {
        return `path ${f.path}: an absolute path is wanted`;
      }
      if (f.format === Format.TMPFS) return undefined;
      if (!devices.has(f.device)) {
        return `filesystem on ${f.device}: there is no such partition, raid or volume in this layout, or it is in use already`;
      }
      devices.delete(f.device);
      return undefined;
    })
  );
}

function badConstraints({ constraints }: FilesystemLayout): string | undefined {
  if (constraints === undefined) return undefined;
  const { sizes, images } = constraints;
  if (sizes.includes("*")) return "sizes are named one by one: * is not taken";
  return (
    repeated("size", sizes) ??
    first(Object.entries(images), ([os, constraint]) => {
      if (os === "*" || os === "") return "operating systems are named one by one";
      const parsed = parseVersionConstraint(constraint);
      return parsed.ok ? undefined : `operating system ${os}: ${parsed.error}`;
    })
  );
}

function repeated(what: string, names: readonly string[]): string | undefined {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  return twice === undefined ? undefined : `${what} ${twice} is there twice`;
}

function first<T>(items: readonly T[], bad: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const why = bad(item);
    if (why !== undefined) return why;
  }
  return undefined;
}
