import type { FilesystemLayout } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { fail, ok, type Result } from "#lib/result.ts";

/**
 * Label of a layout: devices of the disks that a reinstallation writes anew, separated by spaces. Without it they are those that
 * carry the operating system.
 */
export const overwriteLabel = "reinstall.holdfast/overwrite";

export interface OsDisks {
  /** Devices that a reinstallation writes anew. */
  readonly overwritten: readonly string[];
  /** The layout's other disks. */
  readonly kept: readonly string[];
}

/** Where an operating system is, and what starts it. */
const osPaths: readonly string[] = ["/", "/boot", "/boot/efi"];

/** Which disks of a layout a reinstallation writes anew, in the layout's order; or why that cannot be said. */
export function osDisks(layout: FilesystemLayout): Result<OsDisks> {
  const devices = layout.disks.map((d) => d.device);
  const carriers: string[] = [];
  for (const { device, path } of layout.filesystems.filter((f) => osPaths.includes(f.path ?? ""))) {
    const disk = devices.find((d) => isPartitionOf(device, d));
    if (disk === undefined)
      return fail(`filesystem layout ${layout.id}: filesystem ${path} is on ${device}, on none of its disks`);
    carriers.push(disk);
  }
  const marked = layout.meta?.labels?.labels[overwriteLabel];
  const wanted = marked === undefined ? carriers : marked.split(/\s+/).filter((word) => word !== "");
  const unknown = wanted.find((device) => !devices.includes(device));
  if (unknown !== undefined)
    return fail(`filesystem layout ${layout.id}: label ${overwriteLabel} names ${unknown}, which is none of its disks`);
  const missed = carriers.find((disk) => !wanted.includes(disk));
  if (missed !== undefined)
    return fail(
      `filesystem layout ${layout.id}: label ${overwriteLabel} leaves out ${missed}, which carries the system`,
    );
  if (wanted.length === 0) return fail(`filesystem layout ${layout.id}: no file system has the path /`);
  return ok({
    overwritten: devices.filter((d) => wanted.includes(d)),
    kept: devices.filter((d) => !wanted.includes(d)),
  });
}

/** A partition's name is its disk's with a number, after a p or -part where the disk's name asks for one. */
const isPartitionOf = (device: string, disk: string): boolean =>
  device.startsWith(disk) && /^(?:p|-part)?\d+$/.test(device.slice(disk.length));
