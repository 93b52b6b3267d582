import type { DescService } from "@bufbuild/protobuf";
import type { Client, ConnectError } from "@connectrpc/connect";
import { openState, type State } from "#central/store/state.ts";
import { Seeded } from "#lib/seeded.ts";
import { addresses } from "./agent-node.ts";
import { makeCatalog } from "./catalog.ts";
import { Centrals, clientAs } from "./central-node.ts";
import { Datacenter, type Surroundings } from "./datacenter.ts";
import { Doorkeeper } from "./doorkeeper.ts";
import { Invariants } from "./invariants.ts";
import { Joined } from "./joined.ts";
import { Life } from "./life.ts";
import { Line } from "./line.ts";
import type { SimServer } from "./server.ts";
import { Time } from "./time.ts";
import { Trace } from "./trace.ts";
import { transportOver } from "./transport-over.ts";

export interface WorldOptions {
  readonly seed: number;
  /** In each datacenter, in order. */
  readonly servers: readonly number[];
  /** Centrals that share the store (1). */
  readonly centrals?: number;
  /** How often an installed system phones home. */
  readonly homeEveryMs?: number;
  /** Agents are known by certificates that live so long (they have none). */
  readonly certificateMs?: number | undefined;
}

/** Central, datacenters and the lines between them, on virtual time. Everything that decides in it is the shipped code. */
export class World implements Surroundings {
  readonly random: Seeded;
  readonly time: Time;
  readonly trace: Trace;
  readonly central: Centrals;
  /** Between central and people. */
  readonly #desk: Line;
  readonly datacenters: readonly Datacenter[];
  readonly invariants: Invariants;
  readonly outside: Life;
  truth!: State;
  project = "";
  /** Present where agents are known by certificates. */
  readonly doorkeeper: Doorkeeper | undefined;
  readonly joined: Joined | undefined;

  constructor({ seed, servers, centrals = 1, homeEveryMs = 60_000, certificateMs }: WorldOptions) {
    this.random = new Seeded(seed);
    this.time = new Time(this.random.branch("time"));
    this.trace = new Trace(this.time);
    this.outside = new Life("outside", this.time);
    const ports = {
      time: this.time,
      random: this.random,
      log: (life: Life) => this.trace.logOf(life),
      refused: (error: ConnectError) => this.invariants.secrets.onSaid(error.message),
    };
    this.central = new Centrals(centrals, ports, certificateMs);
    this.#desk = new Line(this.time, this.random.branch("desk"));
    const world = this;
    this.invariants = new Invariants({
      get truth() {
        return world.truth;
      },
      get servers() {
        return world.datacenters.flatMap((at) => at.servers);
      },
      addresses,
      networkOf: (server) => this.#homeOf(server).leaf.networkOf(server.plan.port),
      nowMs: () => this.time.nowMs,
      awakeSinceMs: (partition) => this.#at(partition)?.agent.awakeSinceMs,
      observed: (partition, uuid) => this.#at(partition)?.agent.agent?.site.observations.get(uuid),
      historyOf: (partition) => this.#at(partition)?.agent.agent?.site.ledger.cursor.history,
      locals: () => this.datacenters.flatMap(({ agent }) => agent.agent?.site.locals.machines() ?? []),
      localNetworks: () => this.datacenters.flatMap(({ agent }) => agent.agent?.site.locals.networks() ?? []),
    });
    let firstServer = 1;
    this.datacenters = servers.map((count, i) => {
      const plan = {
        partition: `p${i + 1}`,
        firstServer,
        servers: count,
        homeEveryMs,
        isJoining: certificateMs !== undefined,
      };
      firstServer += count;
      return new Datacenter(plan, this, ports);
    });
    if (certificateMs !== undefined) {
      this.doorkeeper = new Doorkeeper(this);
      this.joined = new Joined(() => this.truth);
      this.invariants.onRestored = () => this.joined?.onStoreRestore();
    }
    this.trace.onLine = (line) => this.invariants.secrets.onSaid(line);
    this.trace.onEvent = (who, event, fields) => {
      for (const at of this.datacenters) at.note(who, event, fields);
    };
  }

  asAdmin<S extends DescService>(service: S): Client<S> {
    return clientAs(
      service,
      transportOver(this.#desk, this.outside, () => this.central.far),
      "admin",
    );
  }

  /** The first datacenter, for runs that have one. */
  get home(): Datacenter {
    return this.datacenters[0]!;
  }

  /** Central with its catalog, the agents, and every server plugged in. */
  async begin(): Promise<void> {
    await this.#watchStore();
    const ready = this.central.start().then(async () => {
      const { transport } = this.central.far!;
      const partitions = this.datacenters.map((at) => at.partition);
      const made = await makeCatalog(transport, partitions);
      this.project = made.project;
      for (const [i, at] of this.datacenters.entries()) {
        at.network = made.networks[i]!;
        await this.doorkeeper?.letIn(at);
      }
      await Promise.all(this.datacenters.map((at) => at.agent.start()));
    });
    await this.until(ready, 600_000);
    for (const at of this.datacenters) for (const server of at.servers) at.pluggedIn.add(server.plan.name);
  }

  #at(partition: string): Datacenter | undefined {
    return this.datacenters.find((at) => at.partition === partition);
  }

  #homeOf(server: SimServer): Datacenter {
    return this.datacenters.find((at) => at.servers.includes(server)) ?? this.home;
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
    for (const at of this.datacenters) {
      at.check();
      const broken = this.joined?.check(at, this.time.nowMs);
      if (broken !== undefined) this.invariants.onJoined(broken);
    }
    this.invariants.afterEvent();
  }
}
