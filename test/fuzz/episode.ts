// A central of its own and calls from one seed: the same seed gives the same calls.
import { type DescMessage, type DescMethod, type Message, toJsonString } from "@bufbuild/protobuf";
import { isReflectMessage, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { Code, ConnectError } from "@connectrpc/connect";
import { nameOf } from "#central/access/testing/walkers.ts";
import { isSecret } from "#central/audit/secret-fields.ts";
import { services } from "#central/services.ts";
import { kinds } from "#central/store/kinds.ts";
import { MemoryStore } from "#central/store/memory-store.ts";
import { roomForFirewalls } from "#central/testing/firewalls.ts";
import { type Heard, heard, turns } from "#central/testing/heard.ts";
import type { CentralWithMachines } from "#central/testing/machines.ts";
import { type TwoTenants, twoTenants } from "#central/testing/two-tenants.ts";
import { wholeCentral } from "#central/testing/whole.ts";
import { parseJoinString } from "#domain/join/join-string.ts";
import type { Invitation } from "#gen/holdfast/join/v1/join_pb.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { dayMs } from "#lib/durations.ts";
import type { Log, LogFields } from "#lib/log.ts";
import { keyHeader } from "#lib/rpc/idempotency-key.ts";
import { uniqueNameHeader } from "#lib/rpc/unique-name.ts";
import { newValidator } from "#lib/rpc/validation.ts";
import { Seeded } from "#lib/seeded.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { endOf } from "./call.ts";
import { type Callers, callers } from "./callers.ts";
import { inconsistencies } from "./consistent.ts";
import { type GoodRequests, goodRequests, yard } from "./good-requests.ts";
import { idName, Messages } from "./messages.ts";
import { SeenState } from "./seen-state.ts";
import { canaryTraits, Texts } from "./texts.ts";
import { type Way, ways } from "./transports.ts";

export const methods = services.flatMap((s): DescMethod[] => s.methods);
/** The methods by which things come and go are called more often. */
const lively = /\/(MachineService|IPService|NetworkService|SyncService|BootService)\/(Create|Delete|Report|Register)$/;
const drawn = methods.flatMap((method) =>
  lively.test(nameOf(method).replace(/^\/.*\./, "/")) ? Array<DescMethod>(5).fill(method) : [method],
);
const validator = newValidator();

export interface Failure {
  readonly seed: number;
  /** Of the last call before it was noticed; counted from 0. */
  readonly call: number;
  readonly what: string;
}

export interface EpisodeResult {
  readonly calls: number;
  readonly failures: readonly Failure[];
  /** Calls by how they ended. */
  readonly ends: ReadonlyMap<string, number>;
  /** Names of the methods that answered at least once. */
  readonly answered: ReadonlySet<string>;
}

/** @param checkEvery after how many calls the store is looked through; 1 tells which call it was */
export async function episode(
  seed: number,
  { calls, checkEvery = 100, tell }: { calls: number; checkEvery?: number; tell?: (line: string) => void },
): Promise<EpisodeResult> {
  const random = new Seeded(seed);
  const log = new HeardLog();
  const seen = new SeenState();
  const store = new MemoryStore({ clock: new VirtualClock(), random: random.branch("store") });
  const retention = { keepMs: dayMs, bytesMax: 2_000_000 };
  const watch = seen.watch.bind(seen);
  const central = await wholeCentral({ store, log, random: random.branch("central"), retention, watch });
  const world = await twoTenants(central);
  await central.waiting(12);
  await roomForFirewalls(central);
  await central.client(AdminPartitionService).create({ partition: { id: yard } });
  const run = new Run(central, world, { random, log, callers: await callers(central, world) });
  const begun = central.state.revision;
  const failures: Failure[] = [];
  const ends = new Map<string, number>();
  const answered = new Set<string>();
  for (let at = 0; at < calls && failures.length === 0; at++) {
    const { method, what, end, wrong } = await run.one();
    tell?.(`${seed}:${at} ${what} → ${end}`);
    if (end === "ok") answered.add(method);
    ends.set(end, (ends.get(end) ?? 0) + 1);
    if (wrong !== undefined) failures.push({ seed, call: at, what: `${wrong}\n  ${what}` });
    if (at % checkEvery !== checkEvery - 1 && at !== calls - 1) continue;
    const broken = [
      ...inconsistencies(central.state, begun),
      ...(await seen.differences(central.state, { store, clock: central.clock, random })),
      ...run.told(),
    ];
    if (broken.length > 0)
      failures.push({ seed, call: at, what: `${broken.slice(0, 5).join("\n  ")}\n  after ${what}` });
  }
  await central.close();
  await store.close();
  return { calls: [...ends.values()].reduce((sum, count) => sum + count, 0), failures, ends, answered };
}

interface Called {
  readonly method: string;
  /** The call, in one line. */
  readonly what: string;
  readonly end: string;
  readonly wrong?: string | undefined;
}

/** How long a stream is listened to. */
const patience = () => turns(30);

const keysAgain = ["a", "b", "c", "x".repeat(200), " ", "../..", "0e6a6e2c-93c4-4a67-9b5f-000000000001"];

class Run {
  readonly #central: CentralWithMachines;
  readonly #world: TwoTenants;
  readonly #random: Seeded;
  readonly #log: HeardLog;
  readonly #texts: Texts;
  readonly #messages: Messages;
  readonly #good: GoodRequests;
  readonly #callers: Callers;
  readonly #ways: readonly Way[];

  constructor(
    central: CentralWithMachines,
    world: TwoTenants,
    { random, log, callers }: { random: Seeded; log: HeardLog; callers: Callers },
  ) {
    this.#central = central;
    this.#world = world;
    this.#random = random.branch("calls");
    this.#log = log;
    this.#callers = callers;
    this.#texts = new Texts(random.branch("texts"));
    const nowMs = () => central.clock.wallMs();
    this.#messages = new Messages({ random: random.branch("messages"), texts: this.#texts, validator, nowMs });
    this.#good = goodRequests({ central, world, random: random.branch("good"), texts: this.#texts });
    this.#ways = ways(central.api);
    for (const { ours: side } of [world, { ours: world.theirs }]) this.#learnSide(side);
  }

  async one(): Promise<Called> {
    const random = this.#random;
    const method = random.pick(drawn);
    const { authorization, name, side } = this.#callers(method, random);
    const { ours, theirs } = this.#world;
    const own = () => (side !== undefined && random.chance(0.9) ? side : random.pick([ours, theirs]));
    const [subject, thing] = [own(), own()];
    const request = this.#messages.request(method.input, this.#good(method, { subject, thing }));
    const isSayable = canBeJson(method.input, request);
    const { transport, name: way } = random.pick(this.#ways.filter(({ isJson }) => !isJson || isSayable));
    const called = nameOf(method);
    const what = `${called} by ${name} over ${way}: ${shown(method.input, request)}`;
    if (random.chance(0.05)) this.#central.clock.advance(random.below(random.chance(0.1) ? 3_600_000 : 30_000));
    // Few keys, so that they come again with other requests and from other callers.
    const more = {
      ...(random.chance(0.1) && { [keyHeader]: random.pick(keysAgain) }),
      ...(random.chance(method === MachineService.method.create ? 0.5 : 0.01) && { [uniqueNameHeader]: "true" }),
    };
    const once = () => heard(transport, method, request, { authorization, patience, more });
    // Sometimes somebody else is as quick.
    const calls = random.chance(0.1) ? [once(), once()] : [once()];
    const [ended = {}, twin = {}] = await Promise.all(calls.map((each) => endOf(each, this.#central.clock)));
    if (random.chance(0.02)) await turns(3);
    if (ended.answer !== undefined) this.#learn(method.output, ended.answer);
    const end =
      ended.error === undefined ? "ok" : ended.error instanceof ConnectError ? Code[ended.error.code] : "thrown";
    return {
      method: called,
      what,
      end,
      wrong:
        [wrongWith(ended), wrongWith(twin), this.#log.wrong()].filter((one) => one !== undefined).join("\n  ") ||
        undefined,
    };
  }

  /** Secrets that were told where people read. */
  told(): string[] {
    return [...this.#central.state.list(kinds.audit), ...this.#central.state.list(kinds.siteAudit)].flatMap(
      ({ id, value }) =>
        hasCanary(`${value.body} ${value.method}`) && value.body !== undefined
          ? [`audit ${id} has a secret: ${value.body}`]
          : [],
    );
  }

  #learnSide(side: TwoTenants["ours"]): void {
    const { project, login, network, ip, machine, member, owner, reservation, token, trace } = side;
    const words = { project, login, tenant: login, network, parent_network: network, ip, machine, member, user: owner };
    for (const [name, text] of Object.entries({ ...words, to: project, from: project })) this.#texts.learn(name, text);
    const ids = {
      "Machine.uuid": machine,
      "Token.uuid": token,
      "AuditTrace.uuid": trace,
      "Component.uuid": this.#world.component,
      "Project.uuid": project,
      "Network.id": network,
      "SizeReservation.id": reservation,
      "Switch.id": this.#world.switch,
      "Partition.id": "lab",
      "Size.id": "small",
      "Image.id": "debian-13.0.1",
      "FilesystemLayout.id": "default",
    };
    for (const [name, id] of Object.entries(ids)) this.#texts.learn(name, id);
    for (const secret of [side.projectSecret, side.tenantSecret]) this.#texts.learn("secret", secret, true);
    const more = {
      partition: "lab",
      partitions: "lab",
      size: "small",
      sizes: "small",
      image: "debian-13",
      os: "debian",
    };
    for (const [name, text] of Object.entries(more)) this.#texts.learn(name, text);
    this.#texts.learn("parent_network", "super");
  }

  #invited({ token, secret }: Invitation): void {
    this.#texts.learn("join-token", token, true);
    this.#texts.learn("join-secret", Buffer.from(secret).toString("base64url"), true);
  }

  #learn(desc: DescMessage, message: Message): void {
    const alias = aliases[desc.typeName];
    const from = reflect(desc, message);
    for (const field of desc.fields) {
      const value = from.get(field);
      if (typeof value === "string") {
        this.#texts.learn(idName(field) ?? field.name, value, isSecret(field));
        const invitation = field.name === "join_string" ? parseJoinString(value) : undefined;
        if (invitation?.ok) this.#invited(invitation.value);
        if (alias?.field === field.name) for (const name of alias.names) this.#texts.learn(name, value);
      } else for (const inner of innerOf(value)) this.#learn(inner.desc, inner.message);
    }
  }
}

/** By what other names a thing's id is asked for. */
const aliases: Readonly<Record<string, { readonly field: string; readonly names: readonly string[] }>> = {
  "metalstack.api.v2.Project": { field: "uuid", names: ["project"] },
  "metalstack.api.v2.Tenant": { field: "login", names: ["tenant", "member", "user"] },
  "metalstack.api.v2.Network": { field: "id", names: ["network", "parent_network"] },
  "metalstack.api.v2.Machine": { field: "uuid", names: ["machine"] },
  "metalstack.api.v2.Partition": { field: "id", names: ["partition", "partitions"] },
  "metalstack.api.v2.Size": { field: "id", names: ["size", "sizes"] },
  "metalstack.api.v2.Image": { field: "id", names: ["image"] },
};

const innersMax = 5;

function innerOf(value: unknown): ReflectMessage[] {
  if (isReflectMessage(value)) return [value];
  const many = value as { [Symbol.iterator]?: () => Iterator<unknown> } | undefined;
  if (typeof many?.[Symbol.iterator] !== "function") return [];
  return [...(many as Iterable<unknown>)]
    .slice(0, innersMax)
    .map((item) => (Array.isArray(item) ? item[1] : item))
    .filter((item) => isReflectMessage(item));
}

function canBeJson(desc: DescMessage, message: Message): boolean {
  try {
    return toJsonString(desc, message).length > 0;
  } catch {
    return false;
  }
}

const shownMax = 4_000;

function shown(desc: DescMessage, message: Message): string {
  const text = canBeJson(desc, message)
    ? toJsonString(desc, message)
    : JSON.stringify(message, (_, v) => (typeof v === "bigint" ? `${v}` : v));
  return text.slice(0, shownMax);
}

function wrongWith({ error }: Heard): string | undefined {
  if (error === undefined) return undefined;
  if (!(error instanceof ConnectError)) return `it threw: ${error instanceof Error ? error.stack : error}`;
  if (error.code === Code.Internal || error.code === Code.Unknown || error.code === Code.DataLoss) return `${error}`;
  return /\bat .*\.(ts|js):\d/.test(error.message) ? `it tells where it failed: ${error.message}` : undefined;
}

const hasCanary = (text: string) => canaryTraits.some((trait) => text.includes(trait));

/** What is said since it was last asked: no error, and no secret. */
class HeardLog implements Log {
  #wrong: string | undefined;

  wrong(): string | undefined {
    const wrong = this.#wrong;
    this.#wrong = undefined;
    return wrong;
  }

  debug = (event: string, fields?: LogFields) => this.#hear(event, fields, false);
  info = this.debug;
  warn = this.debug;
  error = (event: string, fields?: LogFields) => this.#hear(event, fields, true);
  child = () => this;

  #hear(event: string, fields: LogFields | undefined, isError: boolean): void {
    const text = `${event} ${Object.entries(fields ?? {}).map(([name, value]) => `${name}=${said(value)}`)}`;
    if (isError) this.#wrong ??= `it logs an error: ${text}`;
    else if (hasCanary(text)) this.#wrong ??= `it logs a secret: ${text}`;
  }
}

const said = (value: unknown): string =>
  value instanceof Error ? `${value.stack} ${value.cause ?? ""}` : String(value);
