import { type Filesystem, type FilesystemLayout, Format } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { hex } from "#lib/bytes.ts";
import type { Random } from "#lib/random.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import { type DiskPlan, espType } from "./partitions.ts";

/** A program to run, with what it reads on its standard input. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly input?: string;
}

export interface Mount {
  readonly device: string;
  /** In the installed system. */
  readonly path: string;
  readonly type: string;
}

/** File systems as they shall be made and mounted. We choose the identifiers, so that nothing has to be asked back. */
export interface FilesystemPlan {
  readonly make: readonly Command[];
  /** Outermost first. */
  readonly mounts: readonly Mount[];
  /** Text of /etc/fstab. */
  readonly fstab: string;
  readonly rootUuid: string;
  /** The disk that the root partition is on. */
  readonly bootDisk: string;
  readonly hasEsp: boolean;
  /** Path at which the EFI system partition is mounted; empty when there is none. */
  readonly espPath: string;
}

interface Planned {
  readonly fs: Filesystem;
  readonly type: string;
  /** Undefined: it is not there any more. */
  readonly identifier: string | undefined;
  readonly make: Command | undefined;
}

/** What of a server stays as it is. */
export interface Kept {
  /** @param disk its device */
  readonly isKept: (disk: string) => boolean;
  /** By which a file system that is there already is known; undefined when it is another one than the layout says. */
  readonly found: (device: string, type: string) => string | undefined;
}

/** File systems on disks that are kept are neither made nor mounted, only named in the fstab. */
export function filesystemPlan(
  layout: FilesystemLayout,
  disks: readonly DiskPlan[],
  random: Random,
  kept?: Kept,
): Result<FilesystemPlan> {
  const partitions = disks.flatMap((d) => d.partitions.map((p) => ({ ...p, disk: d.device })));
  const planned: Planned[] = [];
  for (const fs of layout.filesystems) {
    const isOnDisk = fs.format !== Format.TMPFS && fs.format !== Format.NONE;
    const partition = partitions.find((p) => p.device === fs.device);
    if (isOnDisk && partition === undefined)
      return fail(
        `filesystem layout ${layout.id}: filesystem ${fs.path ?? fs.device} is on ${fs.device}, which is none of its partitions`,
      );
    const one = plannedFilesystem(fs, kept ? "used" : "blank", random);
    if (!one.ok) return one;
    if (!kept || partition === undefined || !kept.isKept(partition.disk)) planned.push(one.value);
    else planned.push({ ...one.value, make: undefined, identifier: kept.found(fs.device, one.value.type) });
  }
  const root = planned.find((p) => p.fs.path === "/");
  const rootPartition = partitions.find((p) => p.device === root?.fs.device);
  if (root === undefined || rootPartition === undefined)
    return fail(`filesystem layout ${layout.id}: no file system has the path /`);
  if (root.identifier === undefined || kept?.isKept(rootPartition.disk))
    return fail(`filesystem layout ${layout.id}: / is on ${rootPartition.disk}, which is to be kept`);
  if (root.type !== "ext3" && root.type !== "ext4")
    return fail(`filesystem layout ${layout.id}: / is ${root.type}; ext3 or ext4 is wanted`);
  const esp = planned.find(
    (p) =>
      p.type === "vfat" &&
      p.make !== undefined &&
      partitions.some((x) => x.device === p.fs.device && x.type === espType),
  );
  return ok({
    make: planned.flatMap((p) => (p.make === undefined ? [] : [p.make])),
    mounts: planned
      .filter((p) => p.make !== undefined && p.type !== "swap" && (p.fs.path ?? "").startsWith("/"))
      .map((p) => ({ device: p.fs.device, path: p.fs.path ?? "", type: p.type }))
      .sort((a, b) => depth(a.path) - depth(b.path) || (a.path < b.path ? -1 : 1)),
    fstab: planned.map(fstabLine).join(""),
    rootUuid: root.identifier,
    bootDisk: rootPartition.disk,
    hasEsp: esp !== undefined,
    espPath: esp?.fs.path ?? "",
  });
}

function plannedFilesystem(fs: Filesystem, disk: "blank" | "used", random: Random): Result<Planned> {
  const uuid = random.uuid();
  const label = fs.label ?? "";
  const labelled = (flag: string): string[] => (label === "" ? [] : [flag, label]);
  const extra = fs.createOptions;
  switch (fs.format) {
    case Format.VFAT: {
      const id = hex(random.bytes(4)).toUpperCase();
      const args = ["-i", id, ...labelled("-n"), ...extra, fs.device];
      return ok({
        fs,
        type: "vfat",
        identifier: `${id.slice(0, 4)}-${id.slice(4)}`,
        make: { program: "/sbin/mkfs.vfat", args },
      });
    }
    case Format.EXT3:
    case Format.EXT4: {
      const type = fs.format === Format.EXT3 ? "ext3" : "ext4";
      // Fresh from the wipe: discarding again is lost time, and the kernel writes the inode tables in the background. What is left of
      // a journal that lay at the same place could be taken for this one's.
      const journal = disk === "blank" ? ",lazy_journal_init=1" : "";
      const fast = extra.includes("-E") ? [] : ["-E", `nodiscard,lazy_itable_init=1${journal}`];
      const args = ["-q", "-F", "-U", uuid, ...labelled("-L"), ...fast, ...extra, fs.device];
      return ok({ fs, type, identifier: uuid, make: { program: `/sbin/mkfs.${type}`, args } });
    }
    case Format.SWAP: {
      const args = ["-U", uuid, ...labelled("-L"), ...extra, fs.device];
      return ok({ fs, type: "swap", identifier: uuid, make: { program: "/sbin/mkswap", args } });
    }
    case Format.TMPFS:
      return ok({ fs, type: "tmpfs", identifier: "", make: undefined });
    case Format.NONE:
      return ok({ fs, type: "none", identifier: "", make: undefined });
    default:
      return fail(`filesystem ${fs.path ?? fs.device}: format ${fs.format} is not known`);
  }
}

/** @source fstab(5) */
function fstabLine({ fs, type, identifier }: Planned): string {
  if (type === "none" || identifier === undefined || (type !== "swap" && fs.path === undefined)) return "";
  const options = fs.mountOptions.length > 0 ? fs.mountOptions.join(",") : defaultOptions(type, fs.path ?? "");
  const device = type === "tmpfs" ? "tmpfs" : `UUID=${identifier}`;
  const pass = type === "tmpfs" || type === "swap" ? 0 : fs.path === "/" ? 1 : 2;
  return `${device} ${type === "swap" ? "none" : fs.path} ${type} ${options} 0 ${pass}\n`;
}

/** Where the layout does not say. The EFI system partition is mounted when it is used, as systemd itself does it, and holds no start up. */
function defaultOptions(type: string, path: string): string {
  if (type === "swap") return "sw";
  if (type === "vfat" && path.startsWith("/boot"))
    return "umask=0077,noauto,x-systemd.automount,x-systemd.idle-timeout=2min";
  return path === "/" ? "errors=remount-ro" : "defaults";
}

const depth = (path: string): number => path.split("/").filter(Boolean).length;
