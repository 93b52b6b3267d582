import { openState, type State } from "#central/store/state.ts";
import { MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { Seeded } from "#lib/seeded.ts";
import { AgentNode, type AgentPlace, addresses } from "./agent-node.ts";
import { type BmcQuirks, honest, simBmc } from "./bmc.ts";
import { makeCatalog, partition } from "./catalog.ts";
import { Centrals } from "./central-node.ts";
import { DhcpClient } from "./dhcp-client.ts";
import { SimDisk } from "./disk.ts";
import { Invariants } from "./invariants.ts";
import { Life } from "./life.ts";
import { Line } from "./line.ts";
import { type ServerPlan, SimServer } from "./server.ts";
import { SimSwitch } from "./switch.ts";
import { Time } from "./time.ts";
import { Trace } from "./trace.ts";

export interface WorldOptions {
  readonly seed: number;
  readonly servers: number;
  /** Centrals that share the store (1). */
  readonly centrals?: number;
  /** How often an installed system phones home. */
  readonly homeEveryMs?: number;
}

/** One central, one datacenter and the line between them, on virtual time. Everything that decides in it is the shipped code. */
export class World {
  readonly random: Seeded;
  readonly time: Time;
  readonly trace: Trace;
  readonly central: Centrals;
  readonly agentDisk: SimDisk;
  readonly link: Line;
  /** Between central and people. */
  readonly desk: Line;
  readonly agent: AgentNode;
  /** Another agent under the same identity, over a copy of its disk, in the same datacenter. Nobody there talks to it. */
  readonly copyOfAgent: (disk: SimDisk) => AgentNode;
  readonly leaf: SimSwitch;
  readonly servers: readonly SimServer[];
  /** Others that ask for an address in the provisioning network. */
  readonly visitors: DhcpClient[] = [];
  /** Servers that are plugged in: only their BMCs answer. */
  readonly pluggedIn = new Set<string>();
  readonly invariants: Invariants;
  /** Lives as long as the run: whoever watches or waits from outside. */
  readonly outside: Life;
  quirks: BmcQuirks = honest;
  imagesUp = true;
  skewMs = 0;
  readonly #homeEveryMs: number;
  truth!: State;
  project = "";
  network = "";

  constructor({ seed, servers, centrals = 1, homeEveryMs = 60_000 }: WorldOptions) {
    this.#homeEveryMs = homeEveryMs;
    this.random = new Seeded(seed);
    this.time = new Time(this.random.branch("time"));
    this.trace = new Trace(this.time);
    this.outside = new Life("outside", this.time);
    const ports = { time: this.time, random: this.random, log: (life: Life) => this.trace.logOf(life) };
    this.central = new Centrals(centrals, ports);
    this.agentDisk = new SimDisk(this.random.branch("agent's disk"));
    this.link = new Line(this.time, this.random.branch("link"));
    this.desk = new Line(this.time, this.random.branch("desk"));
    const plans = Array.from({ length: servers }, (_, i) => planOf(i + 1, this.random.branch(`plan ${i}`)));
    const onAt = (port: string) => this.servers.find((s) => s.plan.port === port && s.power === "on")?.plan.mac;
    this.leaf = new SimSwitch(
      this.random.branch("switch"),
      plans.map((p) => p.port),
      onAt,
    );
    this.servers = plans.map((plan) => this.#server(plan));
    this.invariants = new Invariants({
      get truth() {
        return world.truth;
      },
      servers: this.servers,
      addresses,
      networkOf: (server) => this.leaf.networkOf(server.plan.port),
      nowMs: () => this.time.nowMs,
    });
    const world = this;
    const place: AgentPlace = {
      partition,
      disk: this.agentDisk,
      central: this.central,
      link: this.link,
      bmcs: new Map(this.servers.map((server) => [`10.0.1.${server.plan.port.slice(1)}:623`, this.#bmcOf(server)])),
      switchDriver: (life) => this.leaf.driver(life),
      replies: (xid, bytes) => {
        for (const client of [...this.servers, ...this.visitors]) client.hears(xid, bytes);
      },
      imagesUp: () => this.imagesUp,
      skewMs: () => this.skewMs,
    };
    this.agent = new AgentNode(ports, place);
    this.copyOfAgent = (disk) => new AgentNode(ports, { ...place, disk, replies: () => {} }, "copy");
    this.trace.onLine = (line) => this.invariants.onSaid(line);
    this.trace.onEvent = (who, event, fields) => this.#note(who, event, fields);
  }

  /** Central with its catalog, the agent, and every server plugged in. */
  async begin(): Promise<void> {
    await this.#watchStore();
    const ready = this.central.start().then(async () => {
      const made = await makeCatalog(this.central.far!.transport);
      this.project = made.project;
      this.network = made.network;
      await this.agent.start();
    });
    await this.until(ready, 600_000);
    for (const server of this.servers) this.pluggedIn.add(server.plan.name);
  }

  /** Sees the store as it is, beside whoever lives. */
  async #watchStore(): Promise<void> {
    this.truth = await openState(
      {
        store: this.central.store,
        clock: this.outside,
        random: this.random.branch("outside"),
        log: this.trace.logOf(new Life("truth", this.time)),
      },
      new AbortController().signal,
    );
  }

  visitor(mac: string): DhcpClient {
    const send = (bytes: Uint8Array) => this.agent.hearsDhcp(bytes);
    const visitor = new DhcpClient(mac, this.random.branch(`visitor ${mac} ${this.time.nowMs}`), { send });
    this.visitors.push(visitor);
    return visitor;
  }

  /** Lets time pass, until then or until it is over or an invariant is broken. */
  run(ms: number, isOver: () => boolean = () => false): Promise<void> {
    const isBroken = () => this.invariants.violation !== undefined;
    return this.time.runUntil(
      this.time.nowMs + ms,
      () => this.#check(),
      () => isBroken() || isOver(),
    );
  }

  /** Lets time pass until the work is done. @throws what the work throws, or that it is late */
  async until<T>(work: Promise<T>, limitMs: number): Promise<T> {
    let outcome: (() => T) | undefined;
    work.then(
      (value) => {
        outcome = () => value;
      },
      (error: unknown) => {
        outcome = () => {
          throw error;
        };
      },
    );
    await this.run(limitMs, () => outcome !== undefined);
    if (outcome === undefined) throw new Error(`not done within ${limitMs} ms of virtual time`);
    return (outcome as () => T)();
  }

  #check(): void {
    const cursor = this.agent.agent?.site.ledger.cursor;
    if (cursor) this.invariants.onApplied(cursor.history, cursor.revision);
    this.invariants.afterEvent();
  }

  #note(who: string, event: string, fields: Readonly<Record<string, unknown>>): void {
    if (who.startsWith("copy#")) {
      // One that stood still believes to follow a stream that central has left long ago.
      const isAwake = this.time.nowMs - this.agent.runsSinceMs > 60_000;
      const isBeside = isAwake && this.agent.agent?.link.state.phase === "following";
      if (event === "machine-effect" && isBeside) this.invariants.onCopyActs(String(fields.effect));
    } else if (event === "machine-effect") {
      const uuid = String(fields.machine);
      const known = this.agent.agent?.site.ledger.get("machine", uuid, MachineDesiredSchema)?.epoch;
      this.invariants.onEffect(uuid, String(fields.effect), String(fields.epoch), known);
    }
    if (event === "machine-installed") this.invariants.onInstalled(String(fields.machine), String(fields.epoch));
  }

  #server(plan: ServerPlan): SimServer {
    return new SimServer(plan, {
      time: this.time,
      random: this.random,
      homeEveryMs: this.#homeEveryMs,
      agent: () => this.agent,
      network: () => this.leaf.networkOf(plan.port),
      say: (text) => this.trace.say(text),
      onWipe: (server) => this.invariants.onWipe(server),
      onInstall: (server, epoch) => this.invariants.onInstall(server, epoch),
      onLease: (server, address, untilMs) => this.invariants.onLease(server, address, untilMs),
    });
  }

  #bmcOf(server: SimServer) {
    let calls = 0;
    return (life: Life) => {
      const random = this.random.branch(`bmc ${server.plan.name} ${++calls}`);
      const quirks = () => (this.pluggedIn.has(server.plan.name) ? this.quirks : { ...this.quirks, dead: 1 });
      return simBmc(server, life, random, quirks);
    };
  }
}

function planOf(number: number, random: Seeded): ServerPlan {
  return {
    name: `m${number}`,
    uuid: `0e6a6e2c-93c4-4a67-9b5f-${String(number).padStart(12, "0")}`,
    mac: `52:54:00:00:00:${number.toString(16).padStart(2, "0")}`,
    port: `p${number}`,
    firmware: random.chance(0.5) ? "efi" : "pcbios",
    first: random.chance(0.5) ? "disk" : "pxe",
  };
}
