import { existsSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { attempt, run } from "./process.ts";

export interface NeededPackage {
  readonly name: string;
  /** A file that is there when the package is. */
  readonly proof: string;
  readonly why: string;
  /** Needed only with this flag. */
  readonly only?: "etcd" | "baseline" | "autonomy";
}

/** Debian packages of the lab. */
export const neededPackages: readonly NeededPackage[] = [
  { name: "qemu-system-x86", proof: "/usr/bin/qemu-system-x86_64", why: "the servers" },
  { name: "ovmf", proof: "/usr/share/OVMF/OVMF_CODE_4M.fd", why: "UEFI firmware of the servers" },
  { name: "ipxe-qemu", proof: "/usr/lib/ipxe/qemu/pxe-virtio.rom", why: "network boot ROM of the servers" },
  { name: "ipxe", proof: "/usr/lib/ipxe/undionly.kpxe", why: "iPXE for firmware that has none" },
  { name: "openipmi", proof: "/usr/bin/ipmi_sim", why: "the BMCs" },
  { name: "iproute2", proof: "/usr/sbin/ip", why: "the network namespace" },
  { name: "dnsmasq-base", proof: "/usr/sbin/dnsmasq", why: "router advertisements, and DHCP of the baseline" },
  { name: "socat", proof: "/usr/bin/socat", why: "LLDP frames of the switch" },
  { name: "busybox-static", proof: "/bin/busybox", why: "the web server of images" },
  { name: "zstd", proof: "/usr/bin/zstd", why: "the installer's initrd and the image" },
  { name: "mmdebstrap", proof: "/usr/bin/mmdebstrap", why: "the Debian image" },
  { name: "openssh-client", proof: "/usr/bin/ssh", why: "the login of the demo" },
  { name: "ipmitool", proof: "/usr/bin/ipmitool", why: "power-on of the baseline", only: "baseline" },
  { name: "etcd-server", proof: "/usr/bin/etcd", why: "the store", only: "etcd" },
  { name: "nftables", proof: "/usr/sbin/nft", why: "the cut of the link", only: "autonomy" },
];

export function missingPackages(
  wanted: Readonly<Record<NonNullable<NeededPackage["only"]>, boolean>>,
  has: (path: string) => boolean = existsSync,
): readonly NeededPackage[] {
  return neededPackages.filter((p) => (p.only === undefined || wanted[p.only]) && !has(p.proof));
}

export const installCommand = (packages: readonly NeededPackage[]): string =>
  `apt-get install --no-install-recommends ${packages.map((p) => p.name).join(" ")}`;

/** Says what is missing and installs it, after a question unless `yes`. @throws when it may not or cannot */
export async function ensurePackages(missing: readonly NeededPackage[], yes: boolean): Promise<void> {
  if (missing.length === 0) return;
  console.log("Debian packages that the lab needs and that are missing:");
  for (const p of missing) console.log(`  ${p.name.padEnd(18)} ${p.why}`);
  if (!yes) await ask(missing);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await run(["apt-get", "update", "-qq"], { deadlineMs: 300_000, env, show: true });
  const names = missing.map((p) => p.name);
  const installed = await attempt(["apt-get", "install", "-y", "-qq", "--no-install-recommends", ...names], {
    deadlineMs: 900_000,
    env,
  });
  if (installed.exit.code !== 0)
    throw new Error(`${installCommand(missing)} failed:\n${installed.stderr.trim().slice(-2000)}`);
}

async function ask(missing: readonly NeededPackage[]): Promise<void> {
  if (!process.stdin.isTTY) throw new Error(`give --yes, or run: ${installCommand(missing)}`);
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await terminal.question("Install them now? [Y/n] ");
    if (!/^(y(es)?)?$/i.test(answer.trim())) throw new Error(`not without these packages: ${installCommand(missing)}`);
  } finally {
    terminal.close();
  }
}
