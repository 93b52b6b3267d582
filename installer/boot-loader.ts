import { fail, ok, type Result } from "#lib/result.ts";

// GRUB on a BIOS machine without its installer. Sector 0 of the disk keeps its partition table and gets boot.img's code;
// the code holds the sector where core.img lies; core.img's first sector holds where the rest of it lies.
//
//   boot.img: 0x5c u64le first sector of core.img · 0x66 two bytes: jump over a floppy check, NOPs for a disk · 440 the table begins
//   core.img: 500 u64le its second sector · 508 u16le number of sectors after the first
//
// Source: GRUB 2.06, grub-core/boot/i386/pc/{boot,diskboot}.S, util/setup.c.

const sectorBytes = 512;
const codeBytes = 440;

/** What is to be written where, in bytes from the disk's start. */
export interface DiskWrite {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/**
 * @param firstSector where the BIOS boot partition begins
 * @param sectorsMax its length
 */
export function biosBootLoader(
  images: { readonly boot: Uint8Array; readonly core: Uint8Array },
  where: { readonly firstSector: number; readonly sectorsMax: number },
): Result<readonly DiskWrite[]> {
  if (images.boot.length !== sectorBytes)
    return fail(`boot.img: ${images.boot.length} bytes, ${sectorBytes} are wanted`);
  const sectors = Math.ceil(images.core.length / sectorBytes);
  if (sectors < 2 || sectors > where.sectorsMax)
    return fail(`core.img: ${sectors} sectors, 2 to ${where.sectorsMax} fit`);
  const code = images.boot.slice(0, codeBytes);
  const codeView = new DataView(code.buffer);
  codeView.setBigUint64(0x5c, BigInt(where.firstSector), true);
  code.fill(0x90, 0x66, 0x68);
  const core = new Uint8Array(sectors * sectorBytes);
  core.set(images.core);
  const coreView = new DataView(core.buffer);
  coreView.setBigUint64(500, BigInt(where.firstSector + 1), true);
  coreView.setUint16(508, sectors - 1, true);
  return ok([
    { at: 0, bytes: code },
    { at: where.firstSector * sectorBytes, bytes: core },
  ]);
}

/** What the installed system is started with. Paths are on the file system that holds /boot. */
export interface Kernel {
  readonly kernel: string;
  readonly initrd: string;
  readonly commandLine: string;
}

/**
 * Chooses among the names in /boot the newest kernel that has an initrd. Debian keeps /vmlinuz and /initrd.img pointing
 * at the newest through upgrades; where they are, the boot loader follows them and outlives a new kernel.
 */
export function chooseKernel(
  boot: readonly string[],
  top: readonly string[],
  bootIsOwn: boolean,
): Result<{ kernel: string; initrd: string }> {
  if (!bootIsOwn && top.includes("vmlinuz") && top.includes("initrd.img"))
    return ok({ kernel: "/vmlinuz", initrd: "/initrd.img" });
  const versions = boot.filter((f) => f.startsWith("vmlinuz-")).map((f) => f.slice("vmlinuz-".length));
  const newest = versions.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).reverse();
  for (const version of newest) {
    const initrd = [`initrd.img-${version}`, `initramfs-${version}.img`].find((f) => boot.includes(f));
    if (initrd !== undefined) return ok({ kernel: `/boot/vmlinuz-${version}`, initrd: `/boot/${initrd}` });
  }
  return fail(`image: no kernel with an initrd in /boot (${boot.slice(0, 10).join(", ") || "empty"})`);
}

export function grubConfig(entry: Kernel & { readonly rootUuid: string; readonly title: string }): string {
  return [
    "set timeout=0",
    "serial --unit=0 --speed=115200",
    "terminal_output console serial",
    `menuentry "${entry.title.replace(/["\\$\n]/g, "")}" {`,
    `  linux ${entry.kernel} ${entry.commandLine}`,
    `  initrd ${entry.initrd}`,
    "}",
    "",
  ].join("\n");
}

/** Of the installed system; the partition's own additions come last, since of two of a kind the kernel takes the last. */
export const kernelCommandLine = (rootUuid: string, added: string): string =>
  `root=UUID=${rootUuid} ro ${added}`.trim();
