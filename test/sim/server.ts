import type { BootSetting } from "#agent/bmc/bmc.ts";
import type { PowerAction } from "#agent/bmc/commands.ts";
import { bootArguments } from "#installer/boot-arguments.ts";
import { life as installerLife } from "#installer/life.ts";
import type { OsFile } from "#installer/os-files.ts";
import { type Server, Unreachable } from "#installer/server.ts";
import { aDisk, someFacts } from "#installer/testing/builders.ts";
import { stubServer } from "#installer/testing/stub-server.ts";
import { type Mac, parseMac } from "#lib/net/mac.ts";
import { checked } from "#lib/result.ts";
import type { Seeded } from "#lib/seeded.ts";
import type { AgentNode } from "./agent-node.ts";
import type { Chassis } from "./bmc.ts";
import { DhcpClient } from "./dhcp-client.ts";
import { Life } from "./life.ts";
import { Line } from "./line.ts";
import type { Time } from "./time.ts";
import { transportOver } from "./transport-over.ts";

export interface ServerPlan {
  readonly name: string;
  readonly uuid: string;
  readonly mac: string;
  readonly port: string;
  readonly firmware: "pcbios" | "efi";
  /** What the firmware tries first when nobody says otherwise. */
  readonly first: "disk" | "pxe";
}

export interface ServerPlace {
  readonly time: Time;
  readonly random: Seeded;
  readonly homeEveryMs: number;
  readonly agent: () => AgentNode;
  /** Of its port, as the switch has it. */
  readonly network: () => string;
  readonly say: (text: string) => void;
  /** Told before its disks are wiped, when a reinstallation overwrites the system's, and when a system of an epoch has written its tenant's data. */
  readonly onWipe: (server: SimServer, disk: "system" | "data") => void;
  readonly onOverwrite: (server: SimServer) => void;
  readonly onInstall: (server: SimServer, epoch: bigint) => void;
  /** An address was acknowledged to it, until then (virtual milliseconds). */
  readonly onLease: (server: SimServer, address: string, untilMs: number) => void;
}

/** What is on its disk. */
export interface DiskContent {
  readonly files: Map<string, OsFile>;
  /** Epoch of the allocation whose installer wrote it; its data belongs to that tenant. */
  epoch: bigint;
  /** Its uuid: two allocations may come to one epoch, when a restored central has forgotten the first. */
  allocation: string;
  isBootable: boolean;
}

/** What the system has written to its second disk, once it was in use. */
export interface Data {
  readonly epoch: bigint;
  readonly allocation: string;
  /** Virtual milliseconds. */
  readonly writtenMs: number;
}

const noData: Data = { epoch: 0n, allocation: "", writtenMs: 0 };

const emptyDisk = (): DiskContent => ({ files: new Map(), epoch: 0n, allocation: "", isBootable: false });

/** Nothing is asked of the firmware. */
const noBoot: BootSetting = { device: "none", persistent: false, efi: false };

type Program = "firmware" | "system";

/** Within a rack. */
const wireMs = 2;
const scriptTries = 24;
const leaseMs = 3_600_000;

/** One bare server: firmware, PXE, the shipped installer, and the system that it installs. Its disk outlives its power. */
export class SimServer implements Chassis {
  readonly plan: ServerPlan;
  readonly #place: ServerPlace;
  /** To the agent. */
  readonly wire: Line;
  readonly #random: Seeded;
  #life: Life | undefined;
  #boots = 0;
  /** What the next installer's life will be told. */
  #doom: ((life: Life) => void) | undefined;
  boot = noBoot;
  disk = emptyDisk();
  data = noData;
  /** What it does right now, for people. */
  doing = "off";
  readonly #dhcp: DhcpClient;

  constructor(plan: ServerPlan, place: ServerPlace) {
    this.plan = plan;
    this.#place = place;
    this.#random = place.random.branch(plan.name);
    this.wire = new Line(place.time, this.#random.branch("wire"), wireMs);
    this.#dhcp = new DhcpClient(plan.mac, this.#random.branch("dhcp"), {
      send: (bytes) => this.#isIn("prov") && place.agent().hearsDhcp(bytes),
    });
  }

  get uuid(): string {
    return this.plan.uuid;
  }

  get power(): "on" | "off" {
    return this.#life ? "on" : "off";
  }

  switchTo(action: PowerAction): void {
    if (action === "on" && this.power === "on") return;
    this.#place.say(`${this.plan.name} power ${action}`);
    this.#end();
    if (action !== "off" && action !== "soft") this.#begin("firmware");
  }

  /**
   * It loses power in the middle of the next installation.
   * @param waits of the installer for the agent or its hardware before that
   * @returns what spares it, or gives it power again
   */
  loseAtWork(waits: number): () => void {
    let isLost = false;
    let spare = () => {};
    const strike = () => {
      isLost = true;
      this.#place.say(`${this.plan.name} loses power: ${this.doing}`);
      this.switchTo("off");
    };
    const doom = (life: Life) => {
      spare = life.doom(waits, strike);
    };
    this.#doom = doom;
    return () => {
      if (this.#doom === doom) this.#doom = undefined;
      spare();
      if (isLost) this.switchTo("on");
    };
  }

  /** A DHCP reply for the transaction that waits for one. */
  hears(xid: number, bytes: Uint8Array): void {
    if (this.#isIn("prov")) this.#dhcp.hears(xid, bytes);
  }

  #isIn(network: string): boolean {
    return this.#place.network() === network;
  }

  #end(): void {
    this.#life?.end();
    this.#life = undefined;
    this.doing = "off";
  }

  #begin(program: Program): void {
    this.#end();
    const life = new Life(`${this.plan.name}#${++this.#boots}`, this.#place.time);
    this.#life = life;
    const work = program === "system" ? this.#system(life) : this.#firmware(life);
    work.catch((error: unknown) => this.#place.say(`${this.plan.name} ${program} stopped: ${String(error)}`));
  }

  async #firmware(life: Life): Promise<void> {
    this.doing = "firmware";
    await life.after(this.#random.between(15_000, 60_000));
    const { device, persistent } = this.boot;
    if (!persistent) this.boot = noBoot;
    const asked = device === "pxe" || device === "disk" ? device : this.plan.first;
    for (const from of asked === "pxe" ? ["pxe", "disk"] : ["disk", "pxe"]) {
      if (from === "disk" && this.disk.isBootable) return this.#begin("system");
      if (from === "pxe" && (await this.#pxe(life)) === "disk" && this.disk.isBootable) return this.#begin("system");
    }
    this.doing = "nothing to boot";
    await life.after(30_000);
    this.#begin("firmware");
  }

  async #pxe(life: Life): Promise<"disk" | "nothing"> {
    this.doing = "pxe";
    const address = await this.#dhcp.acquire(life);
    if (address === undefined) return "nothing";
    this.#place.onLease(this, address, this.#place.time.nowMs + leaseMs);
    for (let tries = 0; tries < scriptTries; tries++) {
      const script = this.#isIn("prov") ? await this.#script(life) : undefined;
      if (script?.kind === "disk") return "disk";
      if (script?.kind === "installer") await this.#install(life, script.commandline);
      await life.after(5_000);
    }
    return "nothing";
  }

  #script(life: Life) {
    const { uuid, firmware } = this.plan;
    return this.#place.agent().script(life, { mac: this.#mac, uuid, firmware });
  }

  get #mac(): Mac {
    return checked(parseMac(this.plan.mac));
  }

  async #install(life: Life, commandline: string): Promise<void> {
    const boot = bootArguments(commandline);
    if (!boot.ok) return;
    this.doing = "installer";
    this.#doom?.(life);
    this.#doom = undefined;
    life.acts();
    const inner = transportOver(this.wire, life, () =>
      this.#isIn("prov") ? this.#place.agent().servedTo(this.uuid) : undefined,
    );
    const authorization = { authorization: `Bearer ${boot.value.token.reveal()}` };
    const transport: typeof inner = {
      unary: (method, signal, ms, _header, input, values) =>
        inner.unary(method, signal, ms, authorization, input, values),
      stream: (method, signal, ms, _header, input, values) =>
        inner.stream(method, signal, ms, authorization, input, values),
    };
    const say = (step: string, text: string) => {
      this.doing = `installer: ${step}`;
      if (step === "crashed") this.#place.say(`${this.plan.name} ${step} ${text}`);
    };
    const random = this.#random.branch(life.name);
    await installerLife(boot.value, {
      server: this.#hardware(life),
      transport,
      clock: life,
      random,
      say,
      version: "sim",
    });
  }

  /** What the installer does to this server; each takes its time. */
  #hardware(life: Life): Server {
    const { uuid, mac, firmware } = this.plan;
    const disk = aDisk({ device: "/dev/sda", serial: `disk of ${this.plan.name}` });
    const second = aDisk({ device: "/dev/sdb", serial: `data of ${this.plan.name}` });
    let isReinstalled = false;
    const nics = [{ name: "eth0", mac, speedMbit: 0, vendor: "0x1af4", model: "0x1000", neighbours: [] }];
    const base = someFacts();
    const facts = {
      ...base,
      smbios: { ...base.smbios, uuid },
      disks: [disk, second],
      nics,
      firmware: firmware === "efi" ? ("uefi" as const) : ("bios" as const),
    };
    const takes = (least: number, most: number) => {
      life.waits();
      return life.after(this.#random.between(least, most));
    };
    let fresh = emptyDisk();
    return {
      ...stubServer().server,
      machineUuid: () => uuid,
      inventory: async () => {
        await takes(1_000, 5_000);
        return facts;
      },
      protect: async () => {
        isReinstalled = true;
        await takes(10, 100);
      },
      wipe: async ({ device }) => {
        const isData = device === second.device;
        if (isReinstalled && !isData) this.#place.onOverwrite(this);
        else this.#place.onWipe(this, isData ? "data" : "system");
        await takes(1_000, 20_000);
        if (isData) this.data = noData;
        else this.disk = emptyDisk();
      },
      run: async () => void (await takes(300, 2_000)),
      fetchImage: async (url) => {
        await takes(3_000, 10_000);
        if (!this.#isIn("prov") || !this.#place.agent().far) throw new Unreachable(`${url}: no route to host`);
        return { file: "/run/image", sizeBytes: 1000, head: ustar };
      },
      imageDigest: async () => "0".repeat(32),
      unpackImage: async () => {
        fresh = emptyDisk();
        await takes(3_000, 10_000);
      },
      writeFiles: (files) => {
        for (const file of files) fresh.files.set(file.path, file);
        const said = fresh.files.get("/etc/holdfast/machine.json")?.content;
        if (said === undefined) return;
        const { epoch, allocation } = JSON.parse(String(said)) as { epoch: string; allocation: string };
        fresh.epoch = BigInt(epoch);
        fresh.allocation = allocation;
        if (this.disk !== fresh) this.#place.onInstall(this, fresh.epoch);
        this.disk = fresh;
      },
      writeDisk: () => {
        this.disk.isBootable = true;
      },
      start: (how) => {
        this.#begin(how === "kexec" && this.disk.isBootable ? "system" : "firmware");
        return new Promise<never>(() => {});
      },
    };
  }

  /** Phones home until it is welcome, then once a minute, from whatever network its port is in. */
  async #system(life: Life): Promise<void> {
    this.doing = "system starts";
    await life.after(this.#random.between(8_000, 30_000));
    const url = String(this.disk.files.get("/etc/holdfast/phone-home-url")?.content ?? "").trim();
    const token = URL.canParse(url) ? (new URL(url).searchParams.get("token") ?? "") : "";
    for (;;) {
      const answer = this.#isIn("") ? undefined : await this.#place.agent().phoneHome(life, this.uuid, token);
      this.doing = answer === undefined ? "system, unheard" : `system, ${answer}`;
      const { epoch, allocation } = this.disk;
      if (answer === "welcome" && this.data.epoch !== epoch)
        this.data = { epoch, allocation, writtenMs: this.#place.time.nowMs };
      await life.after(answer === "welcome" ? this.#place.homeEveryMs : 5_000);
    }
  }
}

const ustar = new Uint8Array(512);
ustar.set(new TextEncoder().encode("ustar"), 257);
