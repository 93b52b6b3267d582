import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { dependency } from "./packages.ts";
import { run } from "./run.ts";

export interface OsImage {
  /** A raw tar: on an emulated CPU unpacking a compressed one takes longer than fetching what compression would have saved. */
  readonly file: string;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

export interface OsImageOptions {
  /** Folder that keeps the products, such as `.cache/images`. */
  readonly cache: string;
  readonly report?: (step: string, seconds: number) => void;
}

/** Raise it when the recipe changes in a way that the inputs below do not show. */
const recipe = 1;
/** Stamp on everything that the build makes: 2024-01-01. */
const epoch = "1704067200";
const files = path.join(import.meta.dirname, "os");
const kernel = "linux-image-cloud-amd64";
const packages = [
  "usr-is-merged",
  "systemd-sysv",
  "udev",
  "dbus",
  "openssh-server",
  kernel,
  "initramfs-tools",
  "zstd",
  "iproute2",
  "iputils-ping",
  "kmod",
  "e2fsprogs",
];

/** Debian 12 for a server: systemd, sshd, the cloud kernel, phone-home. Built once for each kernel and recipe. */
export async function buildOsImage({ cache, report }: OsImageOptions): Promise<OsImage> {
  const sources = ["customize", "phone-home", "phone-home.service"].map((f) =>
    readFileSync(path.join(files, f), "utf8"),
  );
  const inputs = {
    recipe,
    epoch,
    packages,
    excluded,
    modules,
    sources,
    kernel: await dependency(kernel, /^linux-image-\d/),
  };
  const id = createHash("sha256").update(JSON.stringify(inputs)).digest("hex").slice(0, 16);
  const file = path.join(cache, `debian-12-${id}.tar`);
  if (!existsSync(file)) {
    const begin = performance.now();
    mkdirSync(cache, { recursive: true });
    // Named by process: two builds at once must not write into one file.
    const half = `${file}.${process.pid}.tar`;
    await debootstrap(half);
    if (statSync(half).size === 0) throw new Error(`mmdebstrap left ${half} empty`);
    renameSync(half, file);
    report?.("Debian 12 image", (performance.now() - begin) / 1000);
  }
  return { file, sha256: await sha256Of(file), sizeBytes: statSync(file).size };
}

async function debootstrap(target: string): Promise<void> {
  rmSync(target, { force: true });
  const modulesFile = `printf '%s\\n' ${modules.join(" ")} > "$1/etc/initramfs-tools/modules"`;
  const style = `printf 'MODULES=list\\nCOMPRESS=zstd\\n' > "$1/etc/initramfs-tools/conf.d/holdfast"`;
  const args = [
    "--variant=minbase",
    "--mode=root",
    "--quiet",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    `--include=${packages.join(",")}`,
    `--aptopt=Acquire::Languages "none"`,
    ...excluded.flatMap((x) => [`--dpkgopt=path-exclude=${x}`, `--dpkgopt=path-exclude=${x}/*`]),
    `--essential-hook=mkdir -p "$1/etc/initramfs-tools/conf.d"; ${modulesFile}; ${style}`,
    `--customize-hook=${path.join(files, "customize")}`,
    "bookworm",
    // Without a mirror: Debian's own for the release, its updates and its security fixes.
    target,
  ];
  await run("mmdebstrap", args, { env: { ...process.env, SOURCE_DATE_EPOCH: epoch, HOLDFAST_OS_FILES: files } });
}

export async function sha256Of(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** For the installed system's own initramfs; written out since "most" would pack every driver there is. */
const modules = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_scsi", "sd_mod", "nvme", "ext4", "vfat"];

/** Paths as dpkg knows them: modules are under /lib there even where /lib is a link. */
const excluded = [
  ...["man", "locale", "doc", "info", "lintian", "i18n", "bash-completion", "zoneinfo", "common-licenses"].map(
    (d) => `/usr/share/${d}`,
  ),
  "/lib/udev/hwdb.d/*",
  // Conversions between character sets that no server's log is written in: 8 MB.
  "/usr/lib/x86_64-linux-gnu/gconv",
  ...[
    ...["btrfs", "xfs", "smb", "ceph", "ocfs2", "f2fs", "nfs", "nfsd", "jfs", "reiserfs", "nilfs2", "gfs2", "dlm"].map(
      (f) => `fs/${f}`,
    ),
    ...["gpu", "infiniband", "media", "hv", "target", "gpio", "comedi", "hid", "staging", "net/ethernet"].map(
      (d) => `drivers/${d}`,
    ),
    ...["scsi/mpt3sas", "scsi/*sas*", "scsi/lpfc", "scsi/qla2xxx", "xen", "leds", "watchdog"].map(
      (d) => `drivers/${d}`,
    ),
    ...["sound", "net/sctp", "net/ceph", "net/sunrpc", "net/tipc", "net/batman-adv"],
  ].map((m) => `/lib/modules/*/kernel/${m}`),
];
