// A server that is reinstalled holds its tenant's data. What may be written to is decided before anything is, from what the agent
// says and from what the server shows; when the two do not fit together, nothing is written.
import type { ReinstallDuty } from "#gen/holdfast/install/v1/install_pb.ts";
import { hex } from "#lib/bytes.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import type { DiskFacts } from "./facts.ts";

export interface DisksOfReinstall {
  readonly overwritten: readonly DiskFacts[];
  readonly kept: readonly DiskFacts[];
}

/** Which disks of this server are whose; or why that is not certain. */
export function disksOfReinstall(
  { overwrite, disks: known }: Pick<ReinstallDuty, "overwrite" | "disks">,
  disks: readonly DiskFacts[],
): Result<DisksOfReinstall> {
  if (overwrite.length === 0) return fail("the agent names no disk for the operating system");
  for (const { device, serial, sizeBytes } of known) {
    const disk = disks.find((d) => d.device === device);
    const was = `disk ${device} (serial ${serial || "none"}, ${sizeBytes} bytes)`;
    if (disk === undefined) return fail(`${was} is gone: the names of the others may have moved`);
    if (disk.serial !== serial || BigInt(disk.sizeBytes) !== sizeBytes)
      return fail(`${was} is another now: serial ${disk.serial || "none"}, ${disk.sizeBytes} bytes`);
  }
  const unknown = overwrite.find((device) => !known.some((k) => k.device === device));
  if (unknown !== undefined) return fail(`disk ${unknown} was not there when the machine was wiped`);
  return ok({
    overwritten: disks.filter((d) => overwrite.includes(d.device)),
    kept: disks.filter((d) => !overwrite.includes(d.device)),
  });
}

/** How much of a device's start `filesystemIdentifier` reads. */
export const superblockBytes = 8192;

/**
 * By which /etc/fstab names a file system that is there already, from the start of its device.
 * @param type as in fstab(5)
 * @returns undefined where no such file system is: its tenant made another one of it, which is left to the tenant to mount
 * @source Linux, Documentation/filesystems/ext4/super.rst (at 1024: s_magic 0x38, s_uuid 0x68), include/linux/swap.h; FAT specification 1.03
 */
export function filesystemIdentifier(type: string, start: Uint8Array): string | undefined {
  const is = (at: number, text: string) => latin1(start.subarray(at, at + text.length)) === text;
  switch (type) {
    case "ext3":
    case "ext4":
      return start[1080] === 0x53 && start[1081] === 0xef ? uuidText(start.subarray(1128, 1144)) : undefined;
    case "swap":
      return is(4086, "SWAPSPACE2") ? uuidText(start.subarray(1036, 1052)) : undefined;
    case "vfat":
      if (start[510] !== 0x55 || start[511] !== 0xaa) return undefined;
      return is(82, "FAT32")
        ? fatText(start.subarray(67, 71))
        : is(54, "FAT")
          ? fatText(start.subarray(39, 43))
          : undefined;
    default:
      return undefined;
  }
}

const latin1 = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);

function uuidText(bytes: Uint8Array): string | undefined {
  const text = hex(bytes);
  const parts = /^(.{8})(.{4})(.{4})(.{4})(.{12})$/.exec(text);
  return parts ? parts.slice(1).join("-") : undefined;
}

/** Stored with its lowest byte first. */
const fatText = (bytes: Uint8Array): string => {
  const text = hex(bytes.slice().reverse()).toUpperCase();
  return `${text.slice(0, 4)}-${text.slice(4)}`;
};
