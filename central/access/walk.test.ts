// Every caller calls every method about every subject, through the real interceptors, and is let in exactly where the
// method's options say so. Expectations are made from the options here, not by the code that decides.
// The store is sealed: whoever is let in reaches the handler, which finds everything as it was made.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type DescMethod, getOption, type Message, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport, type Transport } from "@connectrpc/connect";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { ListService } from "#gen/holdfast/api/v1/list_pb.ts";
import { type Thing, ThingSchema } from "#gen/holdfast/api/v1/thing_pb.ts";
import { WatchService } from "#gen/holdfast/api/v1/watch_pb.ts";
import {
  admin_roles,
  infra_roles,
  machine_roles,
  project_roles,
  tenant_roles,
  Visibility,
  visibility,
} from "#gen/metalstack/api/v2/common_pb.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { services } from "../services.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { heard, turns } from "../testing/heard.ts";
import type { CentralWithMachines } from "../testing/machines.ts";
import { SealedStore } from "../testing/sealed-store.ts";
import { type Side, type TwoTenants, twoTenants } from "../testing/two-tenants.ts";
import { wholeCentral } from "../testing/whole.ts";
import { thingKinds } from "../things/kinds.ts";
import { type Requests, requests, subjectNames } from "./testing/requests.ts";
import { nameOf, type Over, permitted, type Walker, walkers } from "./testing/walkers.ts";

const methods = services.flatMap((s): DescMethod[] => s.methods);
const isContract = (method: DescMethod) => method.parent.typeName.startsWith("metalstack.");

/** Whose the named subject is. "crossed": the subject is ours, and what is asked for within it is theirs. */
const subjects = ["ours", "theirs", "none", "crossed"] as const;
type Subject = (typeof subjects)[number];

type Expected = "let in" | "unauthenticated" | "denied";

/** What the options of a method say; reading them takes a while. */
const optionsOf = (method: DescMethod) => ({
  name: nameOf(method),
  visibility: getOption(method, visibility),
  project: getOption(method, project_roles),
  tenant: getOption(method, tenant_roles),
  machine: getOption(method, machine_roles),
  admin: getOption(method, admin_roles),
  infra: getOption(method, infra_roles),
});
type Options = ReturnType<typeof optionsOf>;

/** Any one of the roles that a method names suffices; without roles, visibility says who may. */
function expected(options: Options, who: Walker, subject: Subject): Expected {
  if (options.visibility === Visibility.PUBLIC) return "let in";
  if (!who.isKnown) return "unauthenticated";
  if (options.visibility === Visibility.SELF || hasRole(options, who, subject)) return "let in";
  if (who.permitted !== options.name) return "denied";
  // Infrastructure and machines are nobody's memberships; for all else the token's owner has to have a role that would do.
  const isFree = options.infra.length > 0 || (options.machine.length > 0 && isOurs(subject));
  return isFree || hasRole(options, who.owner ?? {}, subject) ? "let in" : "denied";
}

const isOurs = (subject: Subject) => subject === "ours" || subject === "crossed";

function hasRole(options: Options, who: Partial<Walker>, subject: Subject): boolean {
  const over: Over = (isOurs(subject) ? who.ours : subject === "theirs" ? who.theirs : undefined) ?? {};
  const is = <R>(wanted: readonly R[], held: R | undefined) => held !== undefined && wanted.includes(held);
  return (
    is(options.project, over.project) ||
    is(options.tenant, over.tenant) ||
    is(options.machine, over.machine) ||
    is(options.admin, who.admin) ||
    is(options.infra, who.infra)
  );
}

/** What handlers refuse to those who are let in, by the reason that they give. */
const handlersDeny = ["ROLE_ABOVE_OWN", "NO_PERSON"];

/** A stream that says nothing has let its caller in. One that should refuse is waited for: some signatures are looked at beside this thread. */
const aFewTurns = () => turns(30);
const seconds = () => pause(5_000, undefined, { ref: false });

interface Outcome {
  readonly answer: Message | undefined;
  readonly error: ConnectError | undefined;
}

const reasonsOf = (error: ConnectError) => error.findDetails(ErrorInfoSchema).map(({ reason }) => reason);

/** What is wrong with the outcome; undefined: nothing. */
function surprise(expected: Expected, { error }: Outcome, writes: number): string | undefined {
  const refused = error?.code === Code.Unauthenticated || error?.code === Code.PermissionDenied;
  const byAccess = refused && reasonsOf(error).some((reason) => reason === "ACCESS" || reason === "TOKEN");
  const is = error === undefined ? "answered" : `${Code[error.code]} ${error.rawMessage} [${reasonsOf(error)}]`;
  if (error?.code === Code.Internal || error?.code === Code.Unknown) return is;
  if (expected === "let in") {
    const itself = refused && reasonsOf(error).some((reason) => handlersDeny.includes(reason));
    return refused && !itself ? `should be let in: ${is}` : undefined;
  }
  const code = expected === "denied" ? Code.PermissionDenied : Code.Unauthenticated;
  if (!byAccess || error?.code !== code) return `should be ${expected}: ${is}`;
  return writes > 0 ? `${expected}, and something was written` : undefined;
}

/** Told to somebody who has no part in it, or written by them. */
function leak(
  method: DescMethod,
  { subject, request }: { readonly subject: Subject; readonly request: Message },
  { answer }: Outcome,
  store: SealedStore,
  theirs: Side,
): string | undefined {
  // A secret proves the right to what it was made for.
  if (method.input.fields.every((f) => !subjectNames.includes(f.name)) && "secret" in request) return undefined;
  const isTheirs = (text: string) => isOf(theirs, text);
  const said = answer === undefined ? "" : toJsonString(method.output, answer);
  if (subject === "crossed" && said !== "" && method.methodKind === "unary") return `it gets an answer: ${said}`;
  if (isTheirs(said)) return `it is told what is theirs: ${said}`;
  const touched = store.attempts.flatMap(({ puts, deletes }) => [
    ...puts.map(({ key, value }) => `${key} ${Buffer.from(value).toString("latin1")}`),
    ...deletes,
  ]);
  return touched.filter(isTheirs).map((text) => `it writes what is theirs: ${text}`)[0];
}

const isOf = (side: Side, text: string): boolean => Object.values(side).some((word) => text.includes(word));

/** Who has no part in what is theirs, by whatever role. */
const isStranger = (who: Walker): boolean => (who.theirs ?? who.admin ?? who.infra ?? who.owner?.admin) === undefined;

const inner = new MemoryStore({ clock: new VirtualClock(), random });
const store = new SealedStore(inner);
let central: CentralWithMachines;
let world: TwoTenants;
let everybody: readonly Walker[];
let single: Awaited<ReturnType<typeof permitted>>;
let transport: Transport;
before(async () => {
  central = await wholeCentral({ store });
  world = await twoTenants(central);
  everybody = await walkers(central, world);
  single = await permitted(central, world, methods);
  const { routes, interceptors } = central.api;
  transport = createRouterTransport(routes, { router: { interceptors: [...interceptors] } });
  // From here on the signatures of those who are known need not be looked at again.
  for (const { authorization } of [...everybody, ...[...single.values()].flat()])
    await central.identity.callerOf(authorization ?? null).catch(() => undefined);
  store.seal();
});
after(async () => {
  await central.close();
  await inner.close();
});

test("every caller is let in exactly where a method's options say so, and sees and changes nothing of others", async () => {
  const requestOf = requests(world);
  const surprises: string[] = [];
  const combinations = { public: 0, own: 0 };
  for (const [at, method] of methods.entries()) {
    const options = optionsOf(method);
    const another = methods[(at + 1) % methods.length] as DescMethod; // within bounds
    const those = [...everybody, ...[method, another].flatMap((m) => single.get(nameOf(m)) ?? [])];
    for (const [subject, request] of aboutAll(method, world, requestOf)) {
      for (const who of those) {
        store.attempts = [];
        const right = expected(options, who, subject);
        const { answer, error } = await heard(transport, method, request, {
          authorization: who.authorization,
          patience: right === "let in" ? aFewTurns : seconds,
        });
        const outcome = { answer, error: error === undefined ? undefined : ConnectError.from(error) };
        const wrong =
          surprise(right, outcome, store.attempts.length) ??
          (isStranger(who) ? leak(method, { subject, request }, outcome, store, world.theirs) : undefined);
        if (wrong !== undefined) surprises.push(`${options.name} by ${who.name} about ${subject}: ${wrong}`);
        combinations[isContract(method) ? "public" : "own"]++;
      }
    }
  }
  const rpcs = methods.filter(isContract).length;
  console.log(`${methods.length - rpcs} RPCs of our own, ${combinations.own} combinations`);
  console.log(`${rpcs} RPCs, ${combinations.public} combinations, ${surprises.length} surprises`);
  assert.deepEqual(surprises, []);
});

test("of no kind of thing strangers are listed or told what is theirs, whatever they ask for", async () => {
  const asked = [
    {},
    { project: world.ours.project },
    { project: world.theirs.project },
    { tenant: world.theirs.login },
  ];
  let seen = 0;
  for (const who of everybody.filter(isStranger)) {
    const options = who.authorization === undefined ? {} : { headers: { authorization: who.authorization } };
    const list = async (kind: string, query: object) =>
      (await createClient(ListService, transport).list({ kind, query }, options)).things;
    const watched = async (query: object) => {
      const things: Thing[] = [];
      for await (const { event } of createClient(WatchService, transport).watch({ query }, options)) {
        if (event.case === "bookmark") break;
        if (event.case === "put") things.push(event.value);
      }
      return things;
    };
    for (const query of asked) {
      const calls = [...thingKinds.map(({ name }) => list(name, query)), watched(query)];
      // Who may not ask at all is told nothing.
      const answers = await Promise.allSettled(calls);
      for (const thing of answers.flatMap((a) => (a.status === "fulfilled" ? a.value : []))) {
        const said = toJsonString(ThingSchema, thing);
        assert.ok(!isOf(world.theirs, said), `${who.name} asks for ${JSON.stringify(query)}: ${said}`);
        seen++;
      }
    }
  }
  assert.ok(seen > 500, `${seen}`);
});

/** The requests of a method that differ from each other. */
function aboutAll(method: DescMethod, { ours, theirs }: TwoTenants, requestOf: Requests): Map<Subject, Message> {
  const about = {
    ours: { subject: ours, thing: ours },
    theirs: { subject: theirs, thing: theirs },
    none: { subject: undefined, thing: ours },
    crossed: { subject: ours, thing: theirs },
  };
  const seen = new Set<string>();
  const all = new Map<Subject, Message>();
  for (const subject of subjects) {
    const request = requestOf(method, about[subject]);
    const text = toJsonString(method.input, request);
    if (!seen.has(text)) all.set(subject, request);
    seen.add(text);
  }
  return all;
}
