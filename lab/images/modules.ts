import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Node } from "./cpio.ts";
import { moduleInfo } from "./elf.ts";

/** Which drivers an initrd carries, and which of them it loads without being asked by a device. */
export interface ModuleChoice {
  readonly packed: readonly string[];
  readonly loaded: readonly string[];
}

const always = ["vfat", "nls_ascii", "nls_cp437", "efivarfs"];

/** The cloud kernel has NVMe and ext4 built in; virtio and file name tables are modules. */
export const cloudModules: ModuleChoice = {
  packed: [...always, "virtio_pci", "virtio_net", "virtio_blk", "virtio_scsi", "virtio_rng", "sd_mod", "ext4", "nvme"],
  loaded: ["vfat", "nls_ascii", "nls_cp437"],
};

/** The generic kernel has nearly everything as modules; ext4 there finds its checksum only when crc32c_generic is loaded. */
export const genericModules: ModuleChoice = {
  packed: [
    ...cloudModules.packed,
    ...["e1000", "e1000e", "igb", "ixgbe", "i40e", "ice", "mlx5_core", "bnxt_en", "tg3", "r8169"],
    ...["ahci", "megaraid_sas", "mpt3sas", "smartpqi", "virtio_net", "crc32c_generic", "ipmi_si", "ipmi_devintf"],
  ],
  loaded: [...cloudModules.loaded, "crc32c_generic", "ext4", "sd_mod", "ipmi_si", "ipmi_devintf"],
};

interface Module {
  readonly name: string;
  /** Relative to the folder of the kernel's modules, such as kernel/fs/fat/fat.ko. */
  readonly file: string;
  readonly depends: readonly string[];
  readonly aliases: readonly string[];
  readonly content: Uint8Array;
}

/** The chosen modules with all that they depend on, and the tables that modprobe reads. Built-in ones are left out. */
export function moduleTree(kernelRoot: string, choice: ModuleChoice): Map<string, Node> {
  const version = kernelVersion(kernelRoot);
  const folder = path.join(kernelRoot, "lib/modules", version);
  const files = new Map(moduleFiles(folder).map((file) => [moduleName(file), file]));
  const chosen = closure(folder, files, choice.packed);
  const target = `lib/modules/${version}`;
  const tree = new Map<string, Node>();
  for (const m of chosen) tree.set(`${target}/${m.file}`, { kind: "file", mode: 0o644, content: m.content });
  const dep = chosen.map(
    (m) =>
      `${m.file}:${needs(chosen, m)
        .map((n) => ` ${n.file}`)
        .join("")}\n`,
  );
  const alias = chosen.flatMap((m) => m.aliases.map((a) => `alias ${a} ${m.name}\n`));
  const loaded = choice.loaded.filter((name) => chosen.some((m) => m.name === name));
  for (const [name, lines] of [
    [`${target}/modules.dep`, dep],
    [`${target}/modules.alias`, alias],
    [`${target}/modules.symbols`, []],
    ["etc/modules", [`${loaded.join(" ")}\n`]],
  ] as const) {
    tree.set(name, { kind: "file", mode: 0o644, content: new TextEncoder().encode(lines.join("")) });
  }
  return tree;
}

export function kernelVersion(kernelRoot: string): string {
  const versions = readdirSync(path.join(kernelRoot, "lib/modules"));
  if (versions.length !== 1) throw new Error(`kernel package: one version is wanted, ${versions.join(", ")} found`);
  return versions[0] as string;
}

function closure(folder: string, files: ReadonlyMap<string, string>, wanted: readonly string[]): Module[] {
  const found = new Map<string, Module>();
  const visit = (name: string): void => {
    const file = files.get(name);
    // Not among the files: built into this kernel.
    if (found.has(name) || file === undefined) return;
    const content = new Uint8Array(readFileSync(path.join(folder, file)));
    const info = moduleInfo(content);
    if (!info.ok) throw new Error(`kernel module ${file}: ${info.error}`);
    const values = (key: string) => info.value.filter(([k]) => k === key).map(([, value]) => value);
    const depends = values("depends")
      .flatMap((d) => d.split(","))
      .filter(Boolean)
      .map(moduleName);
    found.set(name, { name, file, depends, aliases: values("alias"), content });
    depends.forEach(visit);
  };
  wanted.forEach(visit);
  return [...found.values()].sort((a, b) => (a.file < b.file ? -1 : 1));
}

/** All that must be loaded before `m`, the nearest first, as modules.dep lists it. */
function needs(all: readonly Module[], m: Module): Module[] {
  const direct = m.depends.flatMap((name) => all.filter((x) => x.name === name));
  const deep = [...direct, ...direct.flatMap((d) => needs(all, d))];
  return deep.filter((x, i) => deep.lastIndexOf(x) === i);
}

function moduleFiles(folder: string): string[] {
  const all = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const packed = all.find((f) => /\.ko\.(xz|gz|zst)$/.test(f));
  if (packed !== undefined) throw new Error(`kernel module ${packed} is compressed; only plain .ko files are known`);
  return all.filter((f) => f.endsWith(".ko"));
}

const moduleName = (file: string): string => path.basename(file, ".ko").replaceAll("-", "_");
