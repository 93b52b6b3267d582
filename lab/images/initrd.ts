import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type BootLoaders, buildBootLoaders } from "./bootloader.ts";
import { bundleInstaller, snapshotInstaller } from "./bundle.ts";
import { cpio, type Node } from "./cpio.ts";
import { cloudModules, genericModules, kernelVersion, moduleTree } from "./modules.ts";
import { dependency, unpackPackages, withLibraries } from "./packages.ts";
import { foreignProgram, programTree } from "./programs.ts";
import { run } from "./run.ts";

/** What a server boots into for inventory, wipe and installation. All are paths of files. */
export interface Initrd {
  readonly kernel: string;
  readonly initrd: string;
  /** For UEFI machines that boot from the network and shall end at their disk; see bootloader.ts. */
  readonly localEfi: string;
  /** Lower-case hex. */
  readonly sha256: { readonly kernel: string; readonly initrd: string; readonly localEfi: string };
  readonly kernelVersion: string;
}

export interface InitrdOptions {
  /** Folder that keeps the products, such as `.cache/images`. */
  readonly cache: string;
  /** `cloud` starts fastest and knows virtio and NVMe; `generic` knows real hardware. */
  readonly flavour?: "cloud" | "generic";
  readonly report?: (step: string, seconds: number) => void;
}

const flavours = {
  cloud: { kernel: "linux-image-cloud-amd64", modules: cloudModules, packages: [], programs: [] },
  generic: {
    kernel: "linux-image-amd64",
    modules: genericModules,
    packages: ["ipmitool"],
    programs: ["usr/bin/ipmitool"],
  },
} as const;

const packages = ["busybox-static", "fdisk", "util-linux", "e2fsprogs", "dosfstools", "zstd", "kexec-tools"];
const morePackages = ["tcpdump", "nvme-cli", "libstdc++6"];
const programs = ["bin/busybox", "sbin/sfdisk", "sbin/wipefs", "sbin/blkdiscard", "sbin/mke2fs", "sbin/mkfs.ext3"];
const morePrograms = [
  "sbin/mkfs.ext4",
  "sbin/mkfs.vfat",
  "sbin/mkswap",
  "usr/bin/zstd",
  "sbin/kexec",
  "usr/bin/tcpdump",
  "usr/sbin/nvme",
];
const scripts = path.resolve(import.meta.dirname, "../../installer/initrd");

export async function buildInitrd({ cache, flavour = "cloud", report }: InitrdOptions): Promise<Initrd> {
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const begin = performance.now();
    const result = await work();
    report?.(name, (performance.now() - begin) / 1000);
    return result;
  };
  const chosen = flavours[flavour];
  const kernelRoot = await step("kernel package", async () => {
    const name = await dependency(chosen.kernel, /^linux-image-\d/);
    return (await unpackPackages([name], cache)).root;
  });
  const tools = await step("tool packages", async () => {
    const names = await withLibraries([...packages, ...morePackages, ...chosen.packages]);
    return (await unpackPackages(names, cache)).root;
  });
  const bootLoaders = await step("boot loaders", () => buildBootLoaders(cache));
  const installer = await step("installer bundle", () => bundleInstaller());
  const snapshot = await step("installer snapshot", () => snapshotInstaller(installer, cache));
  const parts = await step("initrd tree", async () => {
    const tree = new Map<string, Node>([
      ...programTree(tools, [...programs, ...morePrograms, ...chosen.programs]),
      ...foreignProgram(tools, process.execPath, "bin/node"),
      ...moduleTree(kernelRoot, chosen.modules),
      ...(await ownFiles(tools, { installer, snapshot }, bootLoaders)),
    ]);
    return cpio(withFolders(tree));
  });
  const version = kernelVersion(kernelRoot);
  const kernel = kept(cache, "vmlinuz", [
    new Uint8Array(readFileSync(path.join(kernelRoot, `boot/vmlinuz-${version}`))),
  ]);
  const localEfi = kept(cache, "local.efi", [bootLoaders.localEfi]);
  const initrd = await step("compress", () => compressed(cache, parts));
  const sha256 = { kernel: kernel.sha256, initrd: initrd.sha256, localEfi: localEfi.sha256 };
  return { kernel: kernel.file, initrd: initrd.file, localEfi: localEfi.file, sha256, kernelVersion: version };
}

interface Ours {
  readonly installer: Uint8Array;
  readonly snapshot: Uint8Array | undefined;
}

async function ownFiles(tools: string, ours: Ours, loaders: BootLoaders): Promise<Map<string, Node>> {
  const file = (content: Uint8Array | string, mode = 0o644): Node => ({
    kind: "file",
    mode,
    content: typeof content === "string" ? new TextEncoder().encode(content) : content,
  });
  const { snapshot } = ours;
  const applets = (await run(path.join(tools, "bin/busybox"), ["--list"]))
    .split("\n")
    .filter((a) => a !== "" && a !== "busybox");
  return new Map<string, Node>([
    ...applets.map((a) => [`usr/local/bin/${a}`, { kind: "link", target: "/bin/busybox" }] as const),
    ["bin/sh", { kind: "link", target: "busybox" }],
    ["init", file(readFileSync(path.join(scripts, "init")), 0o755)],
    ["etc/udhcpc", file(readFileSync(path.join(scripts, "udhcpc")), 0o755)],
    ["etc/passwd", file("root:x:0:0::/root:/bin/sh\n")],
    ["etc/group", file("root:x:0:\n")],
    ["etc/mke2fs.conf", file(readFileSync(path.join(tools, "etc/mke2fs.conf")))],
    ["etc/mtab", { kind: "link", target: "/proc/mounts" }],
    ["installer.cjs", file(ours.installer)],
    ...(snapshot === undefined ? [] : ([["installer.blob", file(snapshot)]] as const)),
    ["boot-loader/boot.img", file(loaders.bootImg)],
    ["boot-loader/core.img", file(loaders.coreImg)],
    ["boot-loader/BOOTX64.EFI", file(loaders.efi)],
    ["dev/console", { kind: "device", mode: 0o600, major: 5, minor: 1 }],
    ...["proc", "sys", "run", "tmp", "mnt", "root", "var/run"].map(
      (d) => [d, { kind: "folder", mode: 0o755 }] as const,
    ),
  ]);
}

function withFolders(tree: ReadonlyMap<string, Node>): Map<string, Node> {
  const all = new Map(tree);
  for (const name of tree.keys()) {
    for (let folder = path.dirname(name); folder !== "."; folder = path.dirname(folder)) {
      if (!all.has(folder)) all.set(folder, { kind: "folder", mode: 0o755 });
    }
  }
  return all;
}

/** zstd -3: on an emulated CPU higher levels unpack more slowly, and are built fifty times more slowly. */
async function compressed(cache: string, parts: readonly Uint8Array[]): Promise<{ file: string; sha256: string }> {
  const plain = digest(parts);
  const file = path.join(cache, `initrd-${plain.slice(0, 16)}.zst`);
  if (!existsSync(file)) {
    const half = `${file}.${process.pid}`;
    writeFileSync(half, Buffer.concat(parts));
    await run("zstd", ["-q", "-f", "-3", "--no-progress", half, "-o", `${half}.zst`]);
    renameSync(`${half}.zst`, file);
    await run("rm", [half]);
  }
  return { file, sha256: digest([new Uint8Array(readFileSync(file))]) };
}

function kept(cache: string, name: string, parts: readonly Uint8Array[]): { file: string; sha256: string } {
  mkdirSync(cache, { recursive: true });
  const sha256 = digest(parts);
  const file = path.join(cache, `${name}-${sha256.slice(0, 16)}`);
  if (!existsSync(file)) {
    writeFileSync(`${file}.${process.pid}`, Buffer.concat(parts));
    renameSync(`${file}.${process.pid}`, file);
  }
  return { file, sha256 };
}

function digest(parts: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}
