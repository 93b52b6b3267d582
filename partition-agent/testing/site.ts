// The boot services of one partition over a disk in memory, called as an installer calls them.
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Client, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { InstallService } from "#gen/holdfast/install/v1/install_pb.ts";
import { MachineDesiredSchema, type MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import {
  MachineProvisioningEventType as Event,
  MachineAllocationSchema,
  MachineHardwareSchema,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { BootService } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { EventService } from "#gen/metalstack/infra/v2/event_pb.ts";
import { Bell } from "#lib/bell.ts";
import { silentLog } from "#lib/log.ts";
import { type Mac, parseMac } from "#lib/net/mac.ts";
import type { Random } from "#lib/random.ts";
import { refusals } from "#lib/rpc/refusal-to-connect.ts";
import { validation } from "#lib/rpc/validation.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { BootFiles } from "../boot/boot-files.ts";
import { BootTokens } from "../boot/boot-token.ts";
import { jwtSigner } from "../boot/jwt-signer.ts";
import { siteRoutes, siteServices } from "../boot/router.ts";
import { type BootScript, bootScript } from "../boot/script.ts";
import type { Site } from "../boot/site.ts";
import { LocalRecords } from "../budget/local-records.ts";
import { Ledger } from "../ledger/ledger.ts";
import { Observations } from "../observations/observations.ts";
import { Outbox } from "../outbox/outbox.ts";
import { HeldDisk } from "./held-disk.ts";

export const uuidA = "2f1d2cf4-7f0c-4a58-a2f1-b1a4cbb1a001";
export const uuidB = "2f1d2cf4-7f0c-4a58-a2f1-b1a4cbb1b002";
export const macA = macOf("02:00:00:00:00:0a");
export const macB = macOf("02:00:00:00:00:0b");
const sha = (digit: string) => digit.repeat(64);
export const imageUrl = "http://images/debian.tar.zst";

function macOf(text: string): Mac {
  const mac = parseMac(text);
  if (!mac.ok) throw new Error(mac.error);
  return mac.value;
}

let ids = 0;
export const random: Random = {
  bytes: (count) => new Uint8Array(count).fill(7),
  below: () => 0,
  uuid: () => `00000000-0000-4000-8000-${`${++ids}`.padStart(12, "0")}`,
};

/** What the image cache gives: digests by URL, or why there is none. */
export class FakeCache {
  readonly content = new Map<string, string | Error>([
    ["http://boot/kernel", sha("1")],
    ["http://boot/initrd", sha("2")],
    [imageUrl, sha("3")],
  ]);
  readonly evicted = new Set<string>();

  async ensure({ url }: { readonly url: string }) {
    const sha256 = this.content.get(url) ?? new Error(`${url}: not found`);
    if (sha256 instanceof Error) throw sha256;
    this.evicted.delete(sha256);
    return { sha256, path: `/cache/${sha256}`, sizeBytes: 1 };
  }

  seal = async () => ({ key: new Uint8Array(32), tag: new Uint8Array(16) });

  async open(sha256: string) {
    return this.evicted.has(sha256) ? undefined : { close: async () => {} };
  }
}

/** Lets everything run that needs no time; checking a token takes turns in another thread. */
export const settle = async (turns = 50): Promise<void> => {
  for (let i = 0; i < turns; i++) {
    await crypto.subtle.digest("SHA-256", new Uint8Array(1));
  }
};

/** Lets everything run until it holds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; !holds(); i++) {
    if (i === 2000) throw new Error(`never happened: ${what}`);
    await settle(1);
  }
}

/** One life of an agent. Another one over the same disk is its restart. */
export async function openAgent(kept: { disk?: HeldDisk; clock?: VirtualClock; cache?: FakeCache } = {}) {
  const { disk = new HeldDisk(), clock = new VirtualClock(), cache = new FakeCache() } = kept;
  const bell = new Bell();
  const useBoot = { again: () => {} };
  const ledger = new Ledger(disk, silentLog, () => {
    useBoot.again();
    bell.ring();
  });
  const outbox = await Outbox.open(disk, random, silentLog, () => {});
  const changed: string[] = [];
  const observations = new Observations({
    partition: "p1",
    disk,
    outbox,
    clock,
    log: silentLog,
    changed: (uuid) => {
      changed.push(uuid);
      bell.ring();
    },
  });
  const tokens = await BootTokens.open(disk, random, jwtSigner);
  const site: Site = {
    partition: "p1",
    url: "http://10.0.0.1:8080",
    ledger,
    observations,
    outbox,
    locals: new LocalRecords({ disk, outbox, clock, log: silentLog }),
    tokens,
    safeMode: { why: undefined },
    disk,
    bell,
    clock,
    log: silentLog,
  };
  const stop = new AbortController();
  const files = new BootFiles(cache, site.url, clock, silentLog, stop.signal);
  useBoot.again = () => {
    const urls = ledger.get("partition", "p1", PartitionSchema)?.bootConfiguration;
    files.useBoot(urls && { kernel: urls.kernelUrl, initrd: urls.imageUrl });
  };
  useBoot.again();
  const transport = createRouterTransport(siteRoutes(site, files), {
    router: { interceptors: [refusals({ random, log: silentLog }), validation(siteServices)] },
  });
  const script = (mac: Mac, uuid?: string, firmware: "pcbios" | "efi" = "efi"): Promise<BootScript> =>
    bootScript(site, files, random, { mac, uuid, firmware });
  return { disk, clock, cache, site, files, ledger, outbox, observations, changed, transport, script, stop };
}

export type TestAgent = Awaited<ReturnType<typeof openAgent>>;

/** A stand-in for central: each call is one revision. */
export class TestCentral {
  #revision = 0n;
  readonly #machines = new Map<string, MessageInitShape<typeof MachineDesiredSchema>>();

  async connect({ ledger }: TestAgent): Promise<void> {
    const revision = ++this.#revision;
    const partition = create(PartitionSchema, {
      id: "p1",
      bootConfiguration: {
        kernelUrl: "http://boot/kernel",
        imageUrl: "http://boot/initrd",
        commandline: "console=ttyS0 quiet",
      },
    });
    const items = [
      item("partition", "p1", revision, toBinary(PartitionSchema, partition)),
      ...[...this.#machines].map(([uuid, desired]) => item("machine", uuid, revision, desiredBytes(desired))),
    ];
    await ledger.applySnapshot({ history: "h", revision }, items);
    await settle();
  }

  async want({ ledger }: TestAgent, desired: MessageInitShape<typeof MachineDesiredSchema> & { uuid: string }) {
    const revision = ++this.#revision;
    this.#machines.set(desired.uuid, desired);
    await ledger.applyDelta(revision, [item("machine", desired.uuid, revision, desiredBytes(desired))]);
  }

  free = (agent: TestAgent, uuid: string, epoch: bigint) => this.want(agent, { uuid, partition: "p1", epoch });

  allocate = (agent: TestAgent, uuid: string, epoch: bigint) =>
    this.want(agent, { uuid, partition: "p1", epoch, allocation: allocation(epoch) });
}

const item = (kind: string, id: string, revision: bigint, value: Uint8Array) =>
  create(DesiredItemSchema, { kind, id, revision, value });

const desiredBytes = (desired: MessageInitShape<typeof MachineDesiredSchema>): Uint8Array =>
  toBinary(MachineDesiredSchema, create(MachineDesiredSchema, desired));

const allocation = (epoch: bigint) =>
  create(MachineAllocationSchema, {
    project: "0f86b3b0-5a8c-4a0e-9d5a-3a0f6a0f9d11",
    hostname: `host-of-epoch-${epoch}`,
    image: { id: "debian-13", url: imageUrl },
    networks: [{ network: "tenant-net", networkType: NetworkType.CHILD, ips: ["10.1.0.5"], prefixes: ["10.1.0.0/24"] }],
  });

/** An installer on one machine, from one boot script on. */
export class TestInstaller {
  readonly uuid: string;
  readonly headers: { readonly authorization: string };
  readonly boot: Client<typeof BootService>;
  readonly #events: Client<typeof EventService>;
  readonly #install: Client<typeof InstallService>;
  readonly #mac: Mac;
  readonly #stop = new AbortController();

  constructor({ transport }: TestAgent, token: string, who: { readonly uuid: string; readonly mac: Mac }) {
    this.uuid = who.uuid;
    this.#mac = who.mac;
    this.headers = { authorization: token };
    this.boot = createClient(BootService, transport);
    this.#events = createClient(EventService, transport);
    this.#install = createClient(InstallService, transport);
  }

  /** Firmware, iPXE and the installer's beginning. @param shown the UUID that the firmware tells to DHCP; empty: none */
  static async boots(agent: TestAgent, uuid: string, mac: Mac, shown = uuid) {
    const script = await agent.script(mac, shown === "" ? undefined : shown);
    if (script.kind !== "installer") throw new Error(`no installer's script: ${JSON.stringify(script)}`);
    const token = /holdfast\.token=(\S+)/.exec(script.commandline)?.[1];
    return new TestInstaller(agent, `Bearer ${token}`, { uuid, mac });
  }

  /** The same installer, talking to another life of the agent. */
  at = (agent: TestAgent) => new TestInstaller(agent, this.headers.authorization, { uuid: this.uuid, mac: this.#mac });

  event(event: Event, message = "", uuid = this.uuid) {
    return this.#events.send({ events: { [uuid]: { event, message } } }, { headers: this.headers });
  }

  register(macs: readonly string[] = [this.#mac]) {
    const hardware = create(MachineHardwareSchema, {
      memory: 1n << 30n,
      nics: macs.map((mac, i) => ({ mac, name: `eth${i}`, identifier: mac })),
    });
    return this.boot.register(
      { uuid: this.uuid, hardware, partition: "p1", metalHammerVersion: "1.0" },
      { headers: this.headers },
    );
  }

  wiped(error = "") {
    const disks = [{ device: "/dev/sda", serial: "s1", sizeBytes: 1n, method: "discard", error }];
    return this.#install.reportWipe({ uuid: this.uuid, disks }, { headers: this.headers });
  }

  step(name: string, error = "") {
    return this.#install.reportStep({ uuid: this.uuid, steps: [{ name, error }] }, { headers: this.headers });
  }

  plan = () => this.#install.plan({ uuid: this.uuid }, { headers: this.headers });

  succeeded = () =>
    this.boot.installationSucceeded({ uuid: this.uuid, consolePassword: "secret" }, { headers: this.headers });

  /** Opens the stream; resolves with the hostname of the allocation, or undefined when the stream ended without one. */
  async wait(): Promise<string | undefined> {
    const options = { headers: this.headers, signal: this.#stop.signal };
    for await (const { allocation: given } of this.boot.wait({ uuid: this.uuid }, options)) {
      if (given) return given.hostname;
    }
    return undefined;
  }

  /** The machine loses power: what it had open breaks. */
  async dies(): Promise<void> {
    this.#stop.abort();
    await settle();
  }
}

/** `CODE_NAME/REASON` of a refused call, for comparison. */
export async function refusalOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    const [info] = error.findDetails(ErrorInfoSchema);
    return `${info?.reason ?? ""}: ${error.rawMessage}`;
  }
  return "no refusal";
}

export const observed = ({ observations }: TestAgent, uuid: string): MachineObserved => {
  const machine = observations.get(uuid);
  if (!machine) throw new Error(`machine ${uuid} is not known`);
  return machine;
};

export async function untilWiped(installer: TestInstaller): Promise<void> {
  await installer.event(Event.PREPARING);
  await installer.event(Event.REGISTERING);
  await installer.register();
  await installer.wiped();
  await installer.event(Event.WAITING);
}

/** A machine that waits for an allocation, at epoch 1. */
export async function waiting(agent: TestAgent, central: TestCentral, uuid = uuidA, mac = macA) {
  const installer = await TestInstaller.boots(agent, uuid, mac);
  await untilWiped(installer);
  await central.free(agent, uuid, 1n);
  const allocation = installer.wait();
  allocation.catch(() => {});
  await until("waiting", () => observed(agent, uuid).waiting);
  return { installer, allocation };
}

/** A machine that has installed epoch 2. @returns the token of its phone-home */
export async function installed(
  agent: TestAgent,
  central: TestCentral,
): Promise<{ installer: TestInstaller; home: string }> {
  const { installer, allocation } = await waiting(agent, central);
  await central.allocate(agent, uuidA, 2n);
  await allocation;
  await installer.event(Event.INSTALLING);
  await agent.files.image("http://images/debian.tar.zst").catch(() => {});
  await settle(); // it is being fetched
  const { phoneHomeUrl } = await installer.plan();
  await installer.succeeded();
  await installer.event(Event.BOOTING_NEW_KERNEL);
  return { installer, home: new URL(phoneHomeUrl).searchParams.get("token") ?? "" };
}

export async function start() {
  const agent = await openAgent();
  const central = new TestCentral();
  await central.connect(agent);
  return { agent, central };
}

export async function waitingAgain(agent: TestAgent) {
  const installer = await TestInstaller.boots(agent, uuidA, macA);
  await untilWiped(installer);
  const allocation = installer.wait();
  allocation.catch(() => {});
  await until("waiting", () => observed(agent, uuidA).waiting);
  return { installer, allocation };
}
