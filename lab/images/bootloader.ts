import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type Packages, unpackPackages, withLibraries } from "./packages.ts";
import { run } from "./run.ts";

/** GRUB, made once at build time, so that no installer runs grub-install. */
export interface BootLoaders {
  /** First sector for BIOS; the installer patches where core.img lies. */
  readonly bootImg: Uint8Array;
  /** Goes to the BIOS boot partition. */
  readonly coreImg: Uint8Array;
  /** Goes to the EFI system partition as /EFI/BOOT/BOOTX64.EFI. */
  readonly efi: Uint8Array;
  /** For a network boot that shall end at the disk: starts /EFI/BOOT/BOOTX64.EFI of the first disk that has one. */
  readonly localEfi: Uint8Array;
  /** Changes when anything above does. */
  readonly id: string;
}

/** Raise it when the recipe changes. */
const recipe = 1;
const modules =
  "part_gpt ext2 search search_fs_file search_fs_uuid linux normal configfile serial terminal test echo minicmd".split(
    " ",
  );

/** The installer's grub.cfg is the one with the marker beside it: disks may hold other systems' grub.cfg. */
const findConfig = [
  "search.file /boot/grub/holdfast root",
  "set prefix=($root)/boot/grub",
  "configfile $prefix/grub.cfg",
];
const findEfi = [
  "search --no-floppy --file --set=root /EFI/BOOT/BOOTX64.EFI",
  "chainloader /EFI/BOOT/BOOTX64.EFI",
  "boot",
  "exit",
];

export async function buildBootLoaders(cache: string): Promise<BootLoaders> {
  const names = await withLibraries(["grub-efi-amd64-bin", "grub-pc-bin", "grub-common"]);
  const packages = await unpackPackages(names, cache);
  const folder = path.join(cache, "boot-loaders");
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(path.join(folder, "work-"));
  try {
    const make = (format: string, config: readonly string[], wanted: readonly string[]) =>
      mkimage(packages, { work, format, config, wanted });
    const coreImg = await make("i386-pc", findConfig, ["biosdisk", ...modules]);
    const efi = await make("x86_64-efi", findConfig, ["fat", ...modules]);
    const localModules = "part_gpt fat search search_fs_file chain boot configfile normal".split(" ");
    const localEfi = await make("x86_64-efi", findEfi, localModules);
    const bootImg = new Uint8Array(readFileSync(path.join(packages.root, "usr/lib/grub/i386-pc/boot.img")));
    return { bootImg, coreImg, efi, localEfi, id: `${packages.id}-${recipe}` };
  } finally {
    rmSync(work, { recursive: true });
  }
}

interface ImageOrder {
  readonly work: string;
  readonly format: string;
  readonly config: readonly string[];
  readonly wanted: readonly string[];
}

async function mkimage({ root }: Packages, { work, format, config, wanted }: ImageOrder): Promise<Uint8Array> {
  const configFile = path.join(work, "early.cfg");
  const out = path.join(work, "out");
  writeFileSync(configFile, `${config.join("\n")}\n`);
  const args = [
    "-d",
    path.join(root, "usr/lib/grub", format),
    "-O",
    format,
    "-o",
    out,
    "-p",
    "/boot/grub",
    "-c",
    configFile,
  ];
  const env = { ...process.env, LD_LIBRARY_PATH: path.join(root, "usr/lib/x86_64-linux-gnu") };
  await run(path.join(root, "usr/bin/grub-mkimage"), [...args, ...wanted], { env });
  return new Uint8Array(readFileSync(out));
}
