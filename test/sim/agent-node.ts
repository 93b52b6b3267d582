import { createHash } from "node:crypto";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { type Agent, composeAgent } from "#agent/agent.ts";
import { peopleInterceptors, peopleRoutes, peopleServices } from "#agent/api/router.ts";
import type { Bmc } from "#agent/bmc/bmc.ts";
import type { TokenSigner } from "#agent/boot/boot-token.ts";
import { bootCatalog } from "#agent/boot/catalog.ts";
import { phoneHome } from "#agent/boot/phone-home.ts";
import { siteServices } from "#agent/boot/router.ts";
import { type BootScript, bootScript } from "#agent/boot/script.ts";
import type { Joiner } from "#agent/identity/joiner.ts";
import type { SyncClient } from "#agent/link/link.ts";
import { socketAccess } from "#agent/site/access.ts";
import { onSiteInterceptors, onSiteRoutes } from "#agent/site/router.ts";
import type { SwitchDriver } from "#agent/switch/switch.ts";
import { SiteService } from "#gen/holdfast/site/v1/site_pb.ts";
import { SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import type { Disk } from "#lib/disk.ts";
import type { Lifetime } from "#lib/lifetime.ts";
import type { Mac } from "#lib/net/mac.ts";
import { validation } from "#lib/rpc/validation.ts";
import { decodeDhcp } from "#pxe-boot/dhcp/codec.ts";
import { DiskLeases } from "#pxe-boot/dhcp/disk-leases.ts";
import { DhcpService } from "#pxe-boot/dhcp/service.ts";
import { ip, subnetOf } from "#pxe-boot/dhcp/testing.ts";
import { type Centrals, clientAs } from "./central-node.ts";
import type { SimDisk } from "./disk.ts";
import { inProcess } from "./in-process.ts";
import { joinedAccess } from "./joining.ts";
import type { Life } from "./life.ts";
import { Line } from "./line.ts";
import { type NodePorts, ProcessNode } from "./process-node.ts";
import { type Far, transportOver } from "./transport-over.ts";

const sharedValidation: Interceptor = validation(siteServices);
const peopleValidation = validation(peopleServices);

const restartMs = 5_000;

/** That DHCP has to give: few, so that one which is given twice is soon found. */
export const addresses: readonly string[] = Array.from({ length: 6 }, (_, i) => `10.0.0.${100 + i}`);

export const agentUrl = "http://10.0.0.1:8080";

export interface AgentPlace {
  readonly partition: string;
  readonly disk: SimDisk;
  readonly central: Centrals;
  /** To central. */
  readonly link: Line;
  readonly bmcs: ReadonlyMap<string, (life: Life) => Bmc & { close(): Promise<void> }>;
  /** Between two looks at a BMC, as its people have set it. */
  readonly bmcPollMs: number;
  readonly switchDriver: (life: Life) => SwitchDriver;
  /** Takes a DHCP reply to whoever has the transaction. */
  readonly replies: (xid: number, bytes: Uint8Array) => void;
  /** Told of every call of a server that has arrived. @returns to be told when it is answered */
  readonly hears: (uuid: string, life: Life) => () => void;
  /** Told when a report to central was answered, and when it was begun (virtual milliseconds). */
  readonly reported: (begunMs: number) => void;
  /** Images that can be fetched right now, by URL. */
  readonly imagesUp: () => boolean;
  readonly skewMs: () => number;
  /** What is in the agent's file for the join string. Absent: central knows it without a certificate. */
  readonly joinText?: () => string | undefined;
}

interface Living extends Far {
  readonly agent: Agent;
  readonly dhcp: DhcpService;
}

/** The shipped agent over a disk that outlives it, to be killed and started at will. */
export class AgentNode extends ProcessNode<Living> {
  readonly #place: AgentPlace;
  /** Files that were fetched: the image cache is on the disk, too. */
  readonly #images = new Set<string>();
  #joiner: Joiner | undefined;

  /** @param name "agent", unless it is a copy of that one */
  constructor(ports: NodePorts, place: AgentPlace, name = "agent") {
    super(name, ports);
    this.#place = place;
  }

  get agent(): Agent | undefined {
    return this.far?.agent;
  }

  /** By which central knows it, DER. */
  get certificate(): Uint8Array | undefined {
    return this.far && this.#joiner?.identity?.credential?.certificate;
  }

  /** Tries on until it is up, as the host's init does with a daemon that ends. */
  async start(): Promise<void> {
    const { time, log } = this.ports;
    const { life, lifetime } = this.begin(this.#place.skewMs);
    try {
      await this.#compose(life, lifetime);
    } catch (error) {
      log(life).error("start-failed", { error });
      this.kill();
      await new Promise<void>((resolve) => void time.after(restartMs, resolve));
      await this.revive();
    }
  }

  async #compose(life: Life, lifetime: Lifetime): Promise<void> {
    const { log } = this.ports;
    const { partition, disk, bmcs, bmcPollMs, switchDriver } = this.#place;
    const random = this.ports.random.branch(life.name);
    const own = disk.open(life);
    const settings = {
      partition,
      url: agentUrl,
      newMachines: "power on" as const,
      bmc: { addresses: [...bmcs.keys()], pollMs: bmcPollMs, searchMs: 20_000 },
      switch: { rack: "rack1", managementAddress: "10.0.0.1", provisioning: "prov" },
    };
    const agent = await composeAgent(settings, {
      disk: own,
      ...this.#access(life, own),
      openCache: async () => this.#cache(life),
      connectBmc: (address) => bmcs.get(address)!(life),
      switchDriver: switchDriver(life),
      signer,
      // Tokens are as honest here as who says to be the administrator: their id is all that they are.
      verifyToken: async (token) => token,
      validate: sharedValidation,
      lifetime,
      clock: life,
      random,
      log: log(life),
    });
    const dhcp = new DhcpService({
      settings: { address: ip("10.0.0.1"), offerMs: 60_000, declineMs: 600_000, httpBase: `${agentUrl}/boot/` },
      subnets: [{ ...subnetOf("prov", "10.0.0.0/24", [addresses[0]!, addresses.at(-1)!]), leaseSeconds: 3600 }],
      catalog: bootCatalog(agent.site),
      store: new DiskLeases(own, log(life)),
      clock: life,
      log: log(life),
      send: async (bytes) => {
        const reply = decodeDhcp(bytes);
        if (reply.ok) this.#place.replies(reply.value.xid, bytes);
      },
    });
    this.answers({ life, transport: inProcess(agent.routes, agent.interceptors, this.ports.refused), agent, dhcp });
    agent.start();
  }

  /** A datagram from the provisioning network. */
  hearsDhcp(bytes: Uint8Array): void {
    const far = this.far;
    far?.life.later(1, () => far.dhcp.handle(bytes));
  }

  /** GET /boot.ipxe; undefined: no answer. */
  async script(
    caller: Life,
    client: { mac: Mac; uuid: string; firmware: "pcbios" | "efi" },
  ): Promise<BootScript | undefined> {
    const far = this.far;
    if (!far) return undefined;
    const { site, files } = far.agent;
    const random = this.ports.random.branch(`script ${this.ports.time.nowMs}`);
    const answered = this.#place.hears(client.uuid, far.life);
    return await orNothing(caller, far.life, bootScript(site, files, random, client).finally(answered));
  }

  /** POST /phone-home; undefined: no answer, or a refusal. */
  async phoneHome(caller: Life, uuid: string, token: string): Promise<"welcome" | "gone" | undefined> {
    const far = this.far;
    if (!far) return undefined;
    const answered = this.#place.hears(uuid, far.life);
    return await orNothing(caller, far.life, phoneHome(far.agent.site, token).finally(answered));
  }

  /** What it serves to a server's installer. */
  servedTo(uuid: string): Far | undefined {
    const { far } = this;
    if (!far) return undefined;
    const { life, transport } = far;
    const heard = <T>(answer: () => Promise<T>): Promise<T> => {
      const answered = this.#place.hears(uuid, life);
      return answer().finally(answered);
    };
    return {
      life,
      transport: {
        unary: (...call) => heard(() => transport.unary(...call)),
        stream: (...call) => heard(() => transport.stream(...call)),
      },
    };
  }

  /** For somebody on site, by the agent's socket. @throws when no agent lives there */
  onSite(caller: Life): Client<typeof SiteService> {
    const far = this.far;
    if (!far) throw new Error("nobody listens at the socket");
    const on = {
      ...far.agent.onSite,
      version: "sim",
      startedMs: 0,
      leases: () => far.dhcp.leases.all(),
      diskSpace: async () => ({ freeBytes: 1e9, sizeBytes: 1e9 }),
      credential: undefined,
      address: () => undefined,
      random: this.ports.random.branch(`on site ${this.ports.time.nowMs}`),
    };
    const transport = inProcess(onSiteRoutes(on), onSiteInterceptors(on, socketAccess), this.ports.refused);
    const socket = new Line(this.ports.time, this.ports.random.branch("socket"));
    return createClient(
      SiteService,
      transportOver(socket, caller, () => ({ life: far.life, transport })),
    );
  }

  /** For members of a project, by the agent's own port. @throws when no agent lives there */
  people(caller: Life, who = "admin") {
    const far = this.far;
    if (!far) throw new Error("nobody listens at the port");
    const { forPeople } = far.agent;
    const transport = inProcess(
      peopleRoutes(forPeople),
      peopleInterceptors(forPeople, peopleValidation),
      this.ports.refused,
    );
    const line = new Line(this.ports.time, this.ports.random.branch("people"));
    const wire = transportOver(line, caller, () => ({ life: far.life, transport }));
    const as = <S extends DescService>(service: S) => clientAs(service, wire, who);
    return { machines: as(MachineService), ips: as(IPService), networks: as(NetworkService) };
  }

  #access(life: Life, disk: Disk) {
    const { link, central, partition, joinText } = this.#place;
    // One connection carries all calls, so they reach the same central while that lives and the stream holds.
    let at: Far | undefined;
    const reach = () => {
      if (!at?.life.isAlive) at = central.far;
      return at;
    };
    const transport = transportOver(link, life, reach);
    const anew = () => {
      at = undefined;
    };
    if (joinText) {
      const random = this.ports.random.branch(`joining ${life.name}`);
      const log = this.ports.log(life);
      const { client, joiner } = joinedAccess({ partition, life, disk, random, log, file: joinText, transport, anew });
      this.#joiner = joiner;
      return { client: this.#noting(client), joiner };
    }
    const sync = clientAs(SyncService, transport, `agent:${partition}`);
    const client: SyncClient = {
      follow: (request, signal) => {
        anew();
        return sync.follow(request, { signal });
      },
      report: (request, signal) => sync.report(request, { signal }),
    };
    return { client: this.#noting(client) };
  }

  #noting(client: SyncClient): SyncClient {
    const { time } = this.ports;
    return {
      follow: (request, signal) => client.follow(request, signal),
      report: async (request, signal) => {
        const begunMs = time.nowMs;
        const answer = await client.report(request, signal);
        this.#place.reported(begunMs);
        return answer;
      },
    };
  }

  #cache(life: Life) {
    const shaOf = (url: string) => /#sha256=([0-9a-f]{64})$/.exec(url)?.[1] ?? "0".repeat(64);
    return {
      ensure: async ({ url }: { readonly url: string }) => {
        const sha256 = shaOf(url);
        await life.after(this.#images.has(sha256) ? 1 : 2_000);
        if (!this.#images.has(sha256) && !this.#place.imagesUp()) throw new Error(`${url}: connection refused`);
        this.#images.add(sha256);
        return { sha256, path: `/images/${sha256}`, sizeBytes: 1000 };
      },
      seal: async () => ({ key: new Uint8Array(32), tag: new Uint8Array(16) }),
      open: async (sha256: string) => (this.#images.has(sha256) ? { close: async () => {} } : undefined),
    };
  }
}

/** What the other says while both live; undefined when it refuses, or is gone before. */
function orNothing<T>(caller: Life, other: Life, work: Promise<T>): Promise<T | undefined> {
  return caller.hears(
    new Promise((resolve) => {
      const forget = other.onEnd(() => caller.later(500, () => resolve(undefined)));
      work.then(
        (value) => {
          forget();
          if (other.isAlive) resolve(value);
        },
        () => {
          forget();
          resolve(undefined);
        },
      );
    }),
  );
}

/** As honest as a signature, and without another thread: the key is part of the text. */
const signer = (key: Uint8Array): TokenSigner => {
  const mark = Buffer.from(key).toString("hex").slice(0, 16);
  const said = (token: string) =>
    JSON.parse(Buffer.from(token, "base64url").toString()) as Readonly<Record<string, unknown>>;
  return {
    sign: async (claims, audience) =>
      Buffer.from(JSON.stringify({ claims, audience, mark: `canary-${mark}` })).toString("base64url"),
    verify: async (token, audience) => {
      const { mark: by, audience: of, claims } = said(token);
      if (by !== `canary-${mark}` || of !== audience) throw new Error("it is signed by another key");
      return claims as Record<string, unknown>;
    },
    read: (token) => (token === "" ? undefined : (said(token).claims as Record<string, unknown>)),
    digest: async (token) => createHash("sha256").update(token).digest(),
  };
};
