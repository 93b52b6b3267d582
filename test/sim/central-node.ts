import { create, type DescService } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import type { Caller } from "#central/access/caller.ts";
import { rightsOf, unboundedRights } from "#central/access/rights.ts";
import { composeCentral } from "#central/central.ts";
import { agentUser, type Identity } from "#central/identity/identity.ts";
import { Authority, type AuthorityPorts } from "#central/join/authority.ts";
import type { JoinPorts } from "#central/join/join-service.ts";
import { services } from "#central/services.ts";
import { MemoryStore } from "#central/store/memory-store.ts";
import { openState } from "#central/store/state.ts";
import { TokenAccessSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import { InfraRole, ProjectRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { validation } from "#lib/rpc/validation.ts";
import type { Seeded } from "#lib/seeded.ts";
import { inProcess } from "./in-process.ts";
import { shownByPeer, simKeys } from "./joining.ts";
import { beginMs, Life } from "./life.ts";
import { type NodePorts, ProcessNode } from "./process-node.ts";
import { calmStore, distantStore, type StoreFaults } from "./store.ts";
import type { Far } from "./transport-over.ts";

// Compiling the rules of all requests takes longer than a run.
const sharedValidation: Interceptor = validation(services);

const provider = "provider";

/** The shipped central over a store that outlives it, to be killed and started at will. */
export class CentralNode extends ProcessNode<Far> {
  readonly #store: MemoryStore;
  readonly faults: StoreFaults = { ...calmStore };
  #skewMs = 0;
  /** How far its clock was behind at most, zero or less; and how far ahead, zero or more. */
  lowestSkewMs = 0;
  highestSkewMs = 0;
  readonly #certificateMs: number | undefined;

  constructor(name: string, store: MemoryStore, ports: NodePorts, certificateMs: number | undefined) {
    super(name, ports);
    this.#store = store;
    this.#certificateMs = certificateMs;
  }

  /** How far its clock is off. */
  get skewMs(): number {
    return this.#skewMs;
  }

  set skewMs(ms: number) {
    this.#skewMs = ms;
    this.lowestSkewMs = Math.min(this.lowestSkewMs, ms);
    this.highestSkewMs = Math.max(this.highestSkewMs, ms);
  }

  async start(): Promise<void> {
    const { life, lifetime } = this.begin(() => this.skewMs);
    const random = this.ports.random.branch(life.name);
    const store = distantStore(
      () => this.#store,
      life,
      random.branch("store"),
      () => this.faults,
    );
    const ports = { clock: life, random, log: this.ports.log(life) };
    const state = await openState({ store, ...ports }, lifetime.signal);
    const version = { version: "0", revision: "sim", gitSha1: "", buildDate: "" };
    const join = await this.#join({ ...ports, state }, random);
    const parts = { ...ports, state, identity, provider, version, lifetime, validate: sharedValidation };
    const api = composeCentral({ ...parts, ...(join && { join }) });
    this.answers({ life, transport: inProcess(api.routes, [shownByPeer, ...api.interceptors], this.ports.refused) });
  }

  async #join(ports: Omit<AuthorityPorts, "keys">, random: Seeded): Promise<JoinPorts | undefined> {
    const certificateMs = this.#certificateMs;
    if (certificateMs === undefined) return undefined;
    const keys = simKeys(random.branch("keys"));
    const authority = await Authority.open({ ...ports, keys });
    return { authority, keys, shown: () => authority.certificate, certificateMs };
  }
}

/** Centrals that share a store, behind one address: each connection goes to one of those that live. */
export class Centrals {
  readonly all: readonly CentralNode[];
  readonly store: MemoryStore;
  readonly #random: Seeded;

  /** @param certificateMs life of agents' certificates; undefined: agents have none */
  constructor(count: number, ports: NodePorts, certificateMs?: number) {
    const clock = new Life("store", ports.time);
    this.store = new MemoryStore({ clock, random: ports.random.branch("store"), keep: 1000 });
    this.all = Array.from(
      { length: count },
      (_, i) => new CentralNode(`central-${i + 1}`, this.store, ports, certificateMs),
    );
    this.#random = ports.random.branch("balancer");
  }

  get far(): Far | undefined {
    const alive = this.all.flatMap((central) => central.far ?? []);
    return alive.length === 0 ? undefined : this.#random.pick(alive);
  }

  async start(): Promise<void> {
    await Promise.all(this.all.map((central) => central.start()));
  }

  kill(): void {
    for (const central of this.all) central.kill();
  }
}

async function notSimulated(): Promise<never> {
  throw new Refusal("unavailable", "tokens are not simulated");
}

const afterEightHours = timestampFromMs(beginMs + 8 * 3_600_000);
const neverEnds = timestampFromMs(Date.UTC(2100, 0, 1));

/** Carries who calls as it is: what tokens prove is not what is simulated. */
const identity: Identity = {
  async callerOf(authorization) {
    const who = /^Bearer (.+)$/.exec(authorization ?? "")?.[1];
    if (who === undefined) throw new Refusal("unauthenticated", "nobody calls");
    return callerNamed(who);
  },
  issue: notSimulated,
  async revoke() {},
  seals: { seal: notSimulated, open: notSimulated },
  accessTo: () => ({
    issuer: "sim",
    keys: [],
    tokens: [
      create(TokenAccessSchema, { uuid: "admin", user: "admin", role: ProjectRole.OWNER, expires: neverEnds }),
      create(TokenAccessSchema, { uuid: "clerk", user: "clerk", role: ProjectRole.VIEWER, expires: afterEightHours }),
    ],
  }),
};

function callerNamed(who: string): Caller {
  const partition = /^agent:(.+)$/.exec(who)?.[1];
  const rights = partition === undefined ? unboundedRights : rightsOf({ infraRole: InfraRole.EDITOR });
  const user = partition === undefined ? who : agentUser(partition);
  return { user, token: who, tokenType: TokenType.API, rights, owner: rights, partition };
}

/** Calls as somebody. */
export function clientAs<S extends DescService>(service: S, transport: Transport, who: string): Client<S> {
  return createClient(service, {
    unary: (method, signal, timeoutMs, header, input, values) =>
      transport.unary(method, signal, timeoutMs, named(header, who), input, values),
    stream: (method, signal, timeoutMs, header, input, values) =>
      transport.stream(method, signal, timeoutMs, named(header, who), input, values),
  });
}

function named(header: ConstructorParameters<typeof Headers>[0] | undefined, who: string): Headers {
  const headers = new Headers(header);
  headers.set("authorization", `Bearer ${who}`);
  return headers;
}
