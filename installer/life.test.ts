import assert from "node:assert/strict";
import { test } from "node:test";
import { Format } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { Secret } from "#lib/secret.ts";
import { bootArguments } from "./boot-arguments.ts";
import { agentTransport } from "./io/http-client.ts";
import { life } from "./life.ts";
import { Started } from "./no-server.ts";
import type { Server } from "./server.ts";
import { aDisk, aLayout, countingRandom, someFacts } from "./testing/builders.ts";
import { type Heard, type StubAgentOptions, startStubAgent } from "./testing/stub-agent.ts";
import { stubServer } from "./testing/stub-server.ts";

const digest = "a".repeat(64);
/** Pauses take no time; what waits for a limit to pass gives way to other work first. */
const hastyClock: Clock = {
  monotonicMs: () => 0,
  wallMs: () => 1_000,
  sleep: (ms, signal) => (ms >= 5_000 ? until(signal) : new Promise((resolve) => setImmediate(resolve))),
};
const until = (signal?: AbortSignal): Promise<void> =>
  signal === undefined
    ? Promise.resolve()
    : new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

interface Story {
  readonly server?: Partial<Server>;
  readonly agent?: Partial<StubAgentOptions>;
  readonly digest?: string;
  readonly start?: "kexec" | "reboot";
}

async function lived(story: Story = {}) {
  const { server, did, files } = stubServer(story.server, story.digest);
  const agent = await startStubAgent({
    allocation: { uuid: someFacts().smbios.uuid, hostname: "web-1", filesystemLayout: aLayout() },
    plan: {
      epoch: 1n,
      imageUrl: "http://x/image",
      imageSha256: digest,
      imageBytes: 1000n,
      kernelCommandline: "console=ttyS0",
    },
    onHeard: (h) => void (h.what === "succeeded" && did.push("success accepted")),
    ...story.agent,
  });
  const boot = bootArguments(
    `holdfast.url=http://127.0.0.1:${agent.port} holdfast.token=t holdfast.boot=${story.start ?? "kexec"}`,
  );
  assert.ok(boot.ok);
  const transport = agentTransport(boot.value.url, new Secret("t"));
  try {
    const ports = { server, transport, clock: hastyClock, random: countingRandom(), say: () => {}, version: "v1" };
    const how = await life(boot.value, ports).catch((error: unknown) =>
      error instanceof Started ? error.how : Promise.reject(error),
    );
    return { how, did, files, heard: agent.heard, events: agent.heard.flatMap(eventName) };
  } finally {
    await agent.stop();
  }
}

const eventName = (h: Heard): string[] =>
  Object.entries(Event).flatMap(([name, value]) => (h.what === "event" && value === h.event ? [name] : []));
const crash = (heard: readonly Heard[]): string | undefined => heard.find((h) => h.event === Event.CRASHED)?.message;
const good = ["PREPARING", "REGISTERING", "WAITING", "INSTALLING", "BOOTING_NEW_KERNEL"];

test("a server is registered, wiped, waits, is installed and starts the new kernel, in this order", async () => {
  const { how, did, events, files } = await lived();
  assert.equal(how, "kexec");
  assert.deepEqual(events, good);
  assert.deepEqual(did, [
    "wipe /dev/vda discard",
    "/sbin/sfdisk",
    "/bin/busybox",
    "await /dev/vda128",
    "await /dev/vda1",
    "await /dev/vda2",
    "/sbin/mkfs.ext4",
    "/sbin/mkfs.vfat",
    "mount /dev/vda2 /",
    "mount /dev/vda1 /boot/efi",
    "unpack",
    "drop image",
    "boot loader /dev/vda",
    "/sbin/kexec",
    "unmount",
    "success accepted",
    "kexec",
  ]);
  for (const path of [
    "/etc/hostname",
    "/boot/grub/grub.cfg",
    "/boot/grub/holdfast",
    "/boot/efi/EFI/BOOT/BOOTX64.EFI",
    "/etc/ssh/ssh_host_ed25519_key",
  ])
    assert.ok(files.has(path), path);
});

test("an agent that drops every other connection only makes it slower", async () => {
  let count = 0;
  const { how, events } = await lived({ agent: { drops: () => count++ % 2 === 0 } });
  assert.equal(how, "kexec");
  assert.deepEqual(
    events.filter((e) => e !== "ALIVE"),
    // The last word is said once and may get lost: the phone-home that follows says the same.
    good.slice(0, -1),
  );
});

test("a server whose disk cannot be wiped never waits: it says which disk and why, and starts over", async () => {
  const wipe = async () => {
    throw new Error("I/O error");
  };
  const { how, events, heard } = await lived({ server: { wipe } });
  assert.deepEqual([how, events], ["reboot", ["PREPARING", "REGISTERING", "CRASHED"]]);
  assert.equal(crash(heard), "wipe: /dev/vda 4.0 GiB not wiped: discard: I/O error; overwrite: I/O error");
  assert.equal(heard.find((h) => h.what === "wipe")?.wipe?.disks[0]?.error, "discard: I/O error; overwrite: I/O error");
});

test("a method that does not work gives way to the next one, and the evidence names the one that worked", async () => {
  const wipe: Server["wipe"] = async (_, method) => {
    if (method !== "overwrite") throw new Error("not supported");
  };
  const { heard } = await lived({ server: { wipe } });
  assert.equal(heard.find((h) => h.what === "wipe")?.wipe?.disks[0]?.method, "overwrite");
});

test("an image with another digest never becomes bootable", async () => {
  const { how, did, heard } = await lived({ digest: "b".repeat(64) });
  assert.equal(how, "reboot");
  assert.ok(!did.some((d) => d.startsWith("boot loader") || d === "success accepted"));
  assert.equal(crash(heard), `image: sha256 of http://x/image is ${"b".repeat(64)}, ${digest} is wanted`);
});

test("a disk too small, a missing disk, bad userdata and a UEFI server without an EFI partition are refused before anything is written", async () => {
  const allocation = { hostname: "web-1", filesystemLayout: aLayout() };
  for (const [story, reason] of [
    [
      { server: { inventory: async () => someFacts({ disks: [aDisk({ sizeBytes: 2 ** 25 })] }) } },
      "plan: disk /dev/vda partition 1: 64 MiB does not fit, the disk has 32 MiB and 30 MiB are left",
    ],
    [
      { server: { inventory: async () => someFacts({ disks: [] }) } },
      "plan: filesystem layout default: disk /dev/vda is not in this machine (disks: none)",
    ],
    [
      { agent: { allocation: { ...allocation, userdata: "#cloud-config" } } },
      "userdata: not base64, which userdata must be",
    ],
    [
      {
        server: { inventory: async () => someFacts({ firmware: "uefi" }) },
        agent: {
          allocation: {
            ...allocation,
            filesystemLayout: aLayout({ filesystems: [{ device: "/dev/vda2", format: 3, path: "/" }] }),
          },
        },
      },
      "plan: filesystem layout default: a UEFI machine needs a vfat file system on a partition of type ef00",
    ],
  ] satisfies [Story, string][]) {
    const { how, did, heard } = await lived(story);
    assert.equal(crash(heard), reason);
    assert.equal(how, "reboot");
    assert.deepEqual(
      did.filter((d) => d.startsWith("/sbin")),
      [],
    );
  }
});

test("a firewall's rules are loaded at its start, and an image that cannot do so never becomes bootable", async () => {
  const { uuid } = someFacts().smbios;
  const agent = { allocation: { uuid, hostname: "gate-1", filesystemLayout: aLayout(), allocationType: 2 as const } };
  const links: string[] = [];
  const list = (path: string) => (path === "/usr/sbin" ? ["nft"] : path === "/" ? ["vmlinuz", "initrd.img"] : []);
  const { files, events } = await lived({
    agent,
    server: { list, link: (path, target) => void links.push(`${path} ${target}`) },
  });
  assert.deepEqual(events, good);
  assert.ok(files.has("/etc/nftables.conf") && files.has("/etc/sysctl.d/90-holdfast-firewall.conf"));
  assert.deepEqual(links, [
    "/etc/systemd/system/sysinit.target.wants/nftables.service /lib/systemd/system/nftables.service",
  ]);
  const { did, heard } = await lived({ agent });
  assert.match(crash(heard) ?? "", /os-files: image .* has no \/usr\/sbin\/nft/);
  assert.ok(!did.includes("success accepted"));
});

test("a kernel that cannot be started from here is started by a reboot, after the success was accepted", async () => {
  const run: Server["run"] = async (commands) => {
    if (commands.some((c) => c.program === "/sbin/kexec")) throw new Error("not permitted");
  };
  const { how, events, did } = await lived({ server: { run } });
  assert.deepEqual([how, events], ["reboot", good]);
  assert.ok(did.indexOf("success accepted") < did.indexOf("reboot"));
});

test("an image larger than memory is unpacked while it comes", async () => {
  const { how, did } = await lived({ server: { memoryForImage: () => 10 } });
  assert.equal(how, "kexec");
  assert.ok(!did.includes("unpack"));
});

test("a firmware without a system UUID is named on the way to the next try", async () => {
  const { how, heard } = await lived({ server: { machineUuid: () => "" } });
  assert.equal(how, "reboot");
  assert.equal(crash(heard), "inventory: the firmware gives no system UUID (SMBIOS type 1)");
});

const twoDisks = aLayout({
  disks: [...aLayout().disks, { device: "/dev/vdb", partitions: [{ number: 1, size: 0n, label: "data" }] }],
  filesystems: [...aLayout().filesystems, { device: "/dev/vdb1", format: Format.EXT4, path: "/data" }],
});
const data = aDisk({ device: "/dev/vdb", serial: "DISK1" });
const identityOf = ({ device, serial, sizeBytes }: ReturnType<typeof aDisk>) => ({
  device,
  serial,
  sizeBytes: BigInt(sizeBytes),
});

/** A server whose second disk is its tenant's, for good. */
const reinstalling = (server: Partial<Server> = {}, disks = [aDisk(), data]): Story => ({
  agent: {
    duty: {
      case: "reinstall",
      value: {
        number: 3,
        allocation: { uuid: someFacts().smbios.uuid, hostname: "web-1", filesystemLayout: twoDisks },
        overwrite: ["/dev/vda"],
        disks: [aDisk(), data].map(identityOf),
      },
    },
  },
  server: { inventory: async () => someFacts({ disks }), ...server },
});

test("a reinstallation overwrites the system's disk, after all else was found right, and touches no other", async () => {
  const superblock = new Uint8Array(8192);
  superblock.set([0x53, 0xef], 1080);
  superblock.fill(0xab, 1128, 1144);
  const { how, did, files, events, heard } = await lived(reinstalling({ readStart: () => superblock }));
  assert.equal(how, "kexec");
  assert.deepEqual(events, ["PREPARING", "REGISTERING", "INSTALLING", "BOOTING_NEW_KERNEL"]);
  assert.deepEqual(did.slice(0, 6), [
    "protect /dev/vdb",
    "wipe /dev/vda discard",
    "/sbin/sfdisk",
    "/bin/busybox",
    "await /dev/vda128",
    "await /dev/vda1",
  ]);
  assert.deepEqual(
    did.filter((d) => d.includes("vdb")),
    ["protect /dev/vdb"],
  );
  assert.ok(!heard.some((h) => h.what === "wipe" || h.what === "wait"));
  const told = heard.map((h) => h.step?.name ?? h.what);
  assert.ok(told.indexOf("begin-overwrite") < told.indexOf("clear"));
  assert.match(String(files.get("/etc/fstab")?.content), /^UUID=abababab-abab-abab-abab-abababababab \/data ext4 /m);
});

test("a file system that its tenant replaced is left out of the fstab, and left alone", async () => {
  const { how, files } = await lived(reinstalling());
  assert.equal(how, "kexec");
  assert.doesNotMatch(String(files.get("/etc/fstab")?.content), /data/);
});

test("a reinstallation ends before it writes when a disk is not the one that it was, cannot be protected, or the image is wrong", async () => {
  const swapped = [aDisk({ serial: "DISK1" }), aDisk({ device: "/dev/vdb", serial: "DISK0" })];
  const unprotectable = async () => {
    throw new Error("blockdev ended with 1");
  };
  for (const [story, reason] of [
    [reinstalling({}, swapped), /^plan: disk \/dev\/vda .* is another now/],
    [reinstalling({}, [aDisk()]), /^plan: disk \/dev\/vdb .* is gone/],
    [reinstalling({ protect: unprotectable }), /^keep-disks: blockdev/],
    [{ ...reinstalling(), digest: "b".repeat(64) }, /^image: sha256/],
  ] satisfies [Story, RegExp][]) {
    const { how, did, heard } = await lived(story);
    assert.match(crash(heard) ?? "", reason);
    assert.equal(how, "reboot");
    assert.ok(!heard.some((h) => h.what === "begin-overwrite"));
    assert.deepEqual(
      did.filter((d) => !d.startsWith("protect")),
      ["reboot"],
    );
  }
});

test("an agent that says nothing of the disks gets none of them touched", async () => {
  const { how, did, heard } = await lived({ agent: { duty: { case: undefined } } });
  assert.equal(crash(heard), "duty: the agent says neither to wipe nor to keep: no disk is touched");
  assert.deepEqual([how, did], ["reboot", ["reboot"]]);
});
