import type { PlanResponse, ReinstallDuty } from "#gen/holdfast/install/v1/install_pb.ts";
import { MachineProvisioningEventType as Event, type MachineAllocation } from "#gen/metalstack/api/v2/machine_pb.ts";
import { hex } from "#lib/bytes.ts";
import type { Clock } from "#lib/clock.ts";
import type { Random } from "#lib/random.ts";
import type { Result } from "#lib/result.ts";
import type { Agent } from "./agent.ts";
import type { BootArguments } from "./boot-arguments.ts";
import { biosBootLoader, chooseKernel, grubConfig, kernelCommandLine } from "./boot-loader.ts";
import type { DiskFacts, Facts } from "./facts.ts";
import { type FilesystemPlan, filesystemPlan } from "./filesystems.ts";
import { isFirewall, nftablesUnit } from "./firewall-files.ts";
import { imageKind } from "./image-kind.ts";
import { type DisksOfReinstall, disksOfReinstall, filesystemIdentifier, superblockBytes } from "./kept-disks.ts";
import { keyUpdate } from "./key-files.ts";
import { decodeUserdata, keyUsers, type OsFile, osFiles } from "./os-files.ts";
import { biosBootNumber, type DiskPlan, partitionPlan, sfdiskScript } from "./partitions.ts";
import { persistently } from "./persistence.ts";
import { type FetchedImage, type ImageProof, type Server, Unreachable } from "./server.ts";
import { privateKeyFile, publicKeyLine } from "./ssh-key.ts";
import { type Say, StepFailed, type Steps } from "./steps.ts";
import { clearMethods, isWiped, wipeSummary } from "./wipe.ts";
import { wipeDisk } from "./wipe-disk.ts";

export interface InstallInputs {
  readonly boot: BootArguments;
  readonly facts: Facts;
  readonly allocation: MachineAllocation;
  /** The server is somebody's already: only its operating system is replaced. */
  readonly reinstall?: ReinstallDuty;
}

export interface InstallPorts {
  readonly server: Server;
  readonly agent: Agent;
  readonly steps: Steps;
  readonly clock: Clock;
  readonly random: Random;
  readonly say: Say;
  readonly uuid: string;
}

/** All that can be decided before the first byte is written, so that a wrong order is refused before it does harm. */
interface Decisions {
  readonly plan: PlanResponse;
  readonly disks: readonly DiskPlan[];
  readonly filesystems: FilesystemPlan;
  /** Of a reinstallation. */
  readonly owned: DisksOfReinstall | undefined;
}

const toldLimitMs = 5_000;

/** Makes the allocation real; what is left is to start it, in the way returned. The disk can be booted only after the image's digest has been found right. */
export async function install(inputs: InstallInputs, ports: InstallPorts): Promise<"kexec" | "reboot"> {
  const { steps, server, agent } = ports;
  const decided = await steps.run("plan", async () => decide(await agent.plan(), inputs, ports));
  const fetching = fetchImage(decided.plan, ports);
  // Its failure is met below; until then it must not end the process.
  fetching.catch(() => {});
  let digesting: Promise<unknown> | undefined;
  const digested: Digested = (image) => (digesting ??= checkImage(decided.plan, image, ports));
  if (inputs.reinstall) await makeRoom(inputs.reinstall, decided, { image: await fetching, digested }, ports);
  await steps.run("partition", () => partition(decided.disks, server));
  await steps.run("make-filesystems", () => server.makeFilesystems(decided.filesystems));
  await putImage(decided.plan, { image: await fetching, digested }, ports);
  await steps.run("os-files", async () => writeOsFiles(decided, inputs, ports));
  const kernel = await steps.run("boot-loader", async () => writeBootLoader(decided, inputs, server));
  const isLoaded = inputs.boot.start === "kexec" && (await loadKernel(kernel, ports));
  await steps.run("unmount", () => server.unmountAll());
  // Before the new kernel runs: an agent that never heard of the success would install once more.
  await steps.run("success", () => agent.installationSucceeded(consolePassword(ports.random)));
  await steps.told(toldLimitMs);
  // Only a courtesy: the port may move to the tenant's network at any moment now, and then nobody hears it.
  await agent.tryEvent(Event.BOOTING_NEW_KERNEL, new AbortController().signal);
  return isLoaded ? "kexec" : "reboot";
}

async function decide(
  plan: PlanResponse,
  { facts, allocation, reinstall }: InstallInputs,
  ports: InstallPorts,
): Promise<Decisions> {
  const layout = allocation.filesystemLayout;
  if (layout === undefined) throw new StepFailed("plan", "the allocation has no filesystem layout");
  if (!/^[0-9a-f]{64}$/.test(plan.imageSha256))
    throw new StepFailed("plan", `image digest ${plan.imageSha256 || "(none)"}: 64 lower-case hex digits are wanted`);
  const owned = reinstall && sure("plan", disksOfReinstall(reinstall, facts.disks));
  const disks = sure("plan", partitionPlan(layout, facts.disks));
  const isKept = (device: string) => owned?.kept.some((d) => d.device === device) === true;
  const found = (device: string, type: string) =>
    filesystemIdentifier(type, ports.server.readStart(device, superblockBytes));
  const filesystems = sure("plan", filesystemPlan(layout, disks, ports.random, { isKept, found }));
  const decided = { plan, disks: disks.filter((d) => !isKept(d.device)), filesystems, owned };
  if (facts.firmware === "uefi" && !decided.filesystems.hasEsp)
    throw new StepFailed(
      "plan",
      `filesystem layout ${layout.id}: a UEFI machine needs a vfat file system on a partition of type ef00`,
    );
  const files = { machine: ports.uuid, allocation, plan, fstab: "", users: new Set<string>() };
  sure("userdata", decodeUserdata(allocation.userdata));
  sure("os-files", osFiles(files, ports.random));
  return decided;
}

async function partition(disks: readonly DiskPlan[], server: Server): Promise<void> {
  const table = ["-q", "--no-reread", "--no-tell-kernel", "--wipe", "never"];
  await server.run(
    disks.flatMap((disk) => [
      { program: "/sbin/sfdisk", args: [...table, disk.device], input: sfdiskScript(disk) },
      { program: "/bin/busybox", args: ["blockdev", "--rereadpt", disk.device] },
    ]),
  );
  await server.untilThere(disks.flatMap((disk) => disk.partitions.map((p) => p.device)));
}

/** Undefined: it does not fit into memory. */
async function fetchImage(plan: PlanResponse, ports: InstallPorts): Promise<FetchedImage | undefined> {
  const { server, say } = ports;
  const onTrouble = (error: unknown) => say("download", `trying on: ${error instanceof Error ? error.message : error}`);
  const isFinal = (error: unknown) => !(error instanceof Unreachable);
  const persist = <T>(call: () => Promise<T>) => persistently({ ...ports, onTrouble }, call, isFinal);
  return ports.steps.run(
    "download",
    async () => {
      if (plan.imageBytes > server.memoryForImage()) return undefined;
      return persist(() => server.fetchImage(plan.imageUrl));
    },
    (image) =>
      image === undefined
        ? "does not fit into memory, will be unpacked while it comes"
        : `${(image.sizeBytes / 1e6).toFixed(0)} MB`,
  );
}

/** Resolves when the image is found to be what was promised; begun once. */
type Digested = (image: FetchedImage) => Promise<unknown>;

interface Fetched {
  readonly image: FetchedImage | undefined;
  readonly digested: Digested;
}

/**
 * What can be found wrong is found before the old system is overwritten. Then the disks that are kept cannot be written to any more,
 * and then the agent notes that there is no way back.
 */
async function makeRoom(
  { number }: ReinstallDuty,
  { plan, owned }: Decisions,
  { image, digested }: Fetched,
  ports: InstallPorts,
): Promise<void> {
  const { steps, server, agent } = ports;
  if (image !== undefined) {
    kindOf(plan, image);
    await digested(image);
  }
  const { kept = [], overwritten = [] } = owned ?? {};
  const named = (disks: readonly DiskFacts[]) => disks.map((d) => d.device).join(", ") || "none";
  await steps.run(
    "keep-disks",
    () => server.protect(kept),
    () => `read-only from here on: ${named(kept)}`,
  );
  await steps.run(
    "begin-overwrite",
    () => agent.beginOverwrite(number),
    () => named(overwritten),
  );
  await steps.run("clear", async () => {
    const cleared = await Promise.all(overwritten.map((disk) => wipeDisk(disk, clearMethods(disk), ports)));
    if (!isWiped(cleared)) throw new StepFailed("clear", wipeSummary(cleared.filter((e) => e.error !== "")));
  });
}

function checked(plan: PlanResponse, digest: string, { proof, wanted } = sha256Of(plan)): string {
  if (digest !== wanted)
    throw new StepFailed("image", `${proof.kind} of ${plan.imageUrl} is ${digest}, ${wanted} is wanted`);
  return digest;
}

function checkImage(plan: PlanResponse, image: FetchedImage, { steps, server }: InstallPorts): Promise<unknown> {
  const promised = promisedOf(plan);
  return steps.run(
    "digest",
    async () => checked(plan, await server.imageDigest(image, promised.proof), promised),
    (d) => `${promised.proof.kind}:${d.slice(0, 16)}`,
  );
}

function kindOf(plan: PlanResponse, image: FetchedImage): "tar" | "compressed" {
  const kind = imageKind(image.head);
  if (kind !== undefined) return kind;
  throw new StepFailed(
    "image",
    `${plan.imageUrl} begins with ${hex(image.head.subarray(0, 8))}: neither a tar nor zstd, lz4, gzip or xz`,
  );
}

async function putImage(
  plan: PlanResponse,
  { image, digested }: Fetched,
  { steps, server }: InstallPorts,
): Promise<void> {
  if (image === undefined) {
    await steps.run(
      "unpack",
      async () => checked(plan, await server.streamImage(plan.imageUrl)),
      () => "while it came",
    );
    return;
  }
  const kind = kindOf(plan, image);
  const digesting = digested(image);
  digesting.catch(() => {});
  await steps.run("unpack", () => server.unpackImage(image, kind === "compressed"));
  await digesting;
  server.dropImage(image);
}

interface Promised {
  readonly proof: ImageProof;
  /** Lower-case hex. */
  readonly wanted: string;
}

/** The seal goes first: where there are no SHA instructions it is a tenth of the work. */
const promisedOf = (plan: PlanResponse): Promised =>
  plan.imageSeal?.key.length === 32
    ? { proof: { kind: "poly1305", key: plan.imageSeal.key }, wanted: hex(plan.imageSeal.tag) }
    : sha256Of(plan);

const sha256Of = (plan: PlanResponse): Promised => ({ proof: { kind: "sha256" }, wanted: plan.imageSha256 });

function writeOsFiles(decided: Decisions, { allocation }: InstallInputs, { server, random, uuid }: InstallPorts): void {
  const users = new Set(
    server
      .read("/etc/passwd")
      .split("\n")
      .map((line) => line.split(":")[0] ?? ""),
  );
  const inputs = { machine: uuid, allocation, plan: decided.plan, fstab: decided.filesystems.fstab, users };
  server.writeFiles(sure("os-files", osFiles(inputs, random)));
  if (isFirewall(allocation)) enableRules(allocation.image?.id ?? "", server);
  const { link } = keyUpdate(decided.plan.authorizedKeysUrl, keyUsers(users));
  if (link) server.link(link.path, link.target);
  if (server.list("/etc/ssh").length > 0) server.writeFiles(hostKey(allocation.hostname || uuid, server, random));
}

/** A firewall whose rules nobody loads would let everything through. */
function enableRules(image: string, server: Server): void {
  const { link, target, program } = nftablesUnit;
  if (!server.list(program.folder).includes(program.name)) {
    const wanted = "an image for firewalls has Debian's package nftables";
    throw new StepFailed("os-files", `image ${image} has no ${program.folder}/${program.name}: ${wanted}`);
  }
  server.link(link, target);
}

function hostKey(hostname: string, server: Server, random: Random): OsFile[] {
  const key = server.newHostKey();
  const path = "/etc/ssh/ssh_host_ed25519_key";
  return [
    { path, content: privateKeyFile(key, `root@${hostname}`, random.bytes(4)), mode: 0o600 },
    { path: `${path}.pub`, content: publicKeyLine(key, `root@${hostname}`), mode: 0o644 },
  ];
}

interface InstalledKernel {
  readonly kernel: string;
  readonly initrd: string;
  readonly commandLine: string;
}

function writeBootLoader(
  { plan, disks, filesystems }: Decisions,
  { allocation }: InstallInputs,
  server: Server,
): InstalledKernel {
  const bootIsOwn = filesystems.mounts.some((m) => m.path === "/boot");
  const paths = sure("boot-loader", chooseKernel(server.list("/boot"), server.list("/"), bootIsOwn));
  const commandLine = kernelCommandLine(filesystems.rootUuid, plan.kernelCommandline);
  const title = allocation.image?.name ?? allocation.image?.id ?? "Linux";
  // A /boot of its own is seen by GRUB as the top; this link makes both kinds look alike.
  if (bootIsOwn) server.link("/boot/boot", ".");
  server.writeFiles([
    { path: "/boot/grub/holdfast", content: `${filesystems.rootUuid}\n`, mode: 0o644 },
    {
      path: "/boot/grub/grub.cfg",
      content: grubConfig({ ...paths, commandLine, rootUuid: filesystems.rootUuid, title }),
      mode: 0o644,
    },
  ]);
  const images = server.bootLoaderImages();
  if (filesystems.espPath !== "")
    server.writeFiles([{ path: `${filesystems.espPath}/EFI/BOOT/BOOTX64.EFI`, content: images.efi, mode: 0o644 }]);
  const disk = disks.find((d) => d.device === filesystems.bootDisk);
  const gap = disk?.partitions.find((p) => p.number === biosBootNumber);
  if (gap !== undefined) {
    const where = { firstSector: gap.startSector, sectorsMax: gap.sectors };
    server.writeDisk(filesystems.bootDisk, sure("boot-loader", biosBootLoader(images, where)));
  }
  return { ...paths, commandLine };
}

/**
 * The old call comes first: with it the loader can leave out the checksums over kernel and initrd, which are taken at loading
 * and again at the jump, and are there for crash dumps. A locked-down kernel has only the new call.
 * @returns false when this kernel cannot start another; then a reboot does it
 */
async function loadKernel(kernel: InstalledKernel, { steps, server, say }: InstallPorts): Promise<boolean> {
  const args = ["-l", `/mnt${kernel.kernel}`, `--initrd=/mnt${kernel.initrd}`, `--command-line=${kernel.commandLine}`];
  for (const way of [["-c", "--no-checks"], ["-s"]]) {
    try {
      await steps.run("kexec-load", () => server.run([{ program: "/sbin/kexec", args: [...way, ...args] }]));
      return true;
    } catch {
      say("kexec-load", `kexec ${way[0]} does not work here`);
    }
  }
  return false;
}

/** 20 characters without those that look alike: people type it at a console. */
function consolePassword(random: Random): string {
  const letters = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
  return Array.from({ length: 20 }, () => letters[random.below(letters.length)]).join("");
}

function sure<T>(step: string, result: Result<T>): T {
  if (!result.ok) throw new StepFailed(step, result.error);
  return result.value;
}
