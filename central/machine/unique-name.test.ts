import assert from "node:assert/strict";
import { once, setMaxListeners } from "node:events";
import { afterEach, beforeEach, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { PlanService } from "#gen/holdfast/api/v1/plan_pb.ts";
import { MachineService, MachineServiceCreateRequestSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { keyHeader } from "#lib/rpc/idempotency-key.ts";
import { planHeader } from "#lib/rpc/plan-header.ts";
import { hasReason } from "#lib/rpc/refusal-to-connect.ts";
import { uniqueNameHeader } from "#lib/rpc/unique-name.ts";
import { announced } from "../catalog/announce.ts";
import { kinds } from "../store/kinds.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { openState } from "../store/state.ts";
import type { Store } from "../store/store.ts";
import { turns } from "../testing/heard.ts";
import { type CentralWithMachines, type CreateInit, machineCentral, machineUuid } from "../testing/machines.ts";
import { refusedWith } from "../testing/refused-with.ts";
import { wholeCentral } from "../testing/whole.ts";
import { creator } from "./creator.ts";
import { nameClaim, yetToCome } from "./unique-name.ts";

let central: CentralWithMachines;
beforeEach(async () => {
  central = await wholeCentral();
});
afterEach(() => central.close());

const machines = () => central.client(MachineService);
const unique = { [uniqueNameHeader]: "true" };
const alone = (more?: CreateInit) => machines().create(central.wanted(more), { headers: unique });
const isTaken = (text: RegExp) => (e: unknown) =>
  refusedWith(Code.AlreadyExists, text)(e) && hasReason(e as ConnectError, "NAME_TAKEN");
const claims = () =>
  central.state
    .list(kinds.claim)
    .flatMap(({ id, value }) => (id.startsWith("machine-name/") ? [[id, value.value]] : []));

describe("a machine whose name is to be unique", () => {
  test("holds its name for its allocation, until it is given back", async () => {
    await central.waiting(3);
    const { machine } = await alone();
    assert.deepEqual(claims(), [[`machine-name/${central.project}/web`, machine?.allocation?.uuid]]);
    await assert.rejects(
      alone(),
      isTaken(/has a machine named web, .*: take another name, or leave holdfast-unique-name/),
    );
    await assert.rejects(central.create(), isTaken(/alone may be named web/), "whether or not that one asks for it");
    await alone({ name: "db" });
    await machines().delete({ uuid: machine?.uuid ?? "", project: central.project });
    assert.deepEqual(
      claims().map(([id]) => id),
      [`machine-name/${central.project}/db`],
    );
    await alone();
  });

  test("is refused for any other of the project that has the name, and for none of another project", async () => {
    await central.waiting(3);
    await central.create();
    await central.create();
    await assert.rejects(alone(), isTaken(/has a machine named web/));
    assert.deepEqual(claims(), []);
    const project = await central.newProject("second");
    const { machine } = await alone({ project, networks: [{ network: await central.childNetwork(project) }] });
    assert.deepEqual(claims(), [[`machine-name/${project}/web`, machine?.allocation?.uuid]]);
  });

  test("leaves no claim when there is no machine", async () => {
    await assert.rejects(alone(), refusedWith(Code.ResourceExhausted, /no machine/));
    assert.deepEqual(claims(), []);
  });

  test("is not kept from its name by what a crash between the two commits has left", async () => {
    await central.waiting(2);
    const lost = { actor: "ann", method: "", reason: "" };
    for (const name of ["web", "db"]) {
      const announcement = { what: nameClaim({ project: central.project, name }), text: `${yetToCome}nobody` };
      const begun = new Promise<void>((crash) => {
        void announced(central.state, lost, announcement, async () => {
          crash();
          await new Promise(() => {});
        });
      });
      await begun;
    }
    const { machine } = await alone();
    assert.deepEqual(claims().at(-1), [`machine-name/${central.project}/web`, machine?.allocation?.uuid]);
    await central.create({ name: "db" });
    assert.equal(claims().length, 1, "who wants no claim takes it away");
  });

  test("is made once for one key, which is not the key of a creation without it", async () => {
    await central.waiting(3);
    const headers = { ...unique, [keyHeader]: "k1" };
    const [one, two] = await Promise.all([
      machines().create(central.wanted(), { headers }),
      machines().create(central.wanted(), { headers }),
    ]);
    assert.deepEqual([one.machine?.uuid, claims().length], [two.machine?.uuid, 1]);
    const without = machines().create(central.wanted(), { headers: { [keyHeader]: "k1" } });
    await assert.rejects(without, refusedWith(Code.AlreadyExists, /another request/));
  });
});

describe("the plan of such a creation", () => {
  const plan = (headers: Record<string, string>) =>
    central.client(PlanService).plan({ call: { case: "createMachine", value: central.wanted() } }, { headers });

  test("is refused when the name is taken, and changes nothing", async () => {
    await central.waiting(2);
    await central.create();
    const stored = () => [kinds.machineDesired, kinds.claim].map((kind) => central.state.list(kind));
    const before = stored();
    const { outcome } = await plan(unique);
    assert.deepEqual(outcome.case === "refusal" && [outcome.value.code, outcome.value.reason, outcome.value.field], [
      "AlreadyExists",
      "NAME_TAKEN",
      "name",
    ]);
    assert.equal((await plan({})).outcome.case, "plan");
    assert.deepEqual(stored(), before);
  });

  test("holds for the creation that asks for it too, and is stale when the name was taken meanwhile", async () => {
    await central.waiting(3);
    const { hash } = await plan(unique);
    const isStale = (error: unknown) => hasReason(error, "PLAN_STALE");
    await assert.rejects(machines().create(central.wanted(), { headers: { [planHeader]: hash } }), isStale);
    const { machine } = await machines().create(central.wanted(), { headers: { ...unique, [planHeader]: hash } });
    assert.equal(claims()[0]?.[1], machine?.allocation?.uuid);
    await machines().delete({ uuid: machine?.uuid ?? "", project: central.project });
    const again = await plan(unique);
    await central.create();
    await assert.rejects(
      machines().create(central.wanted(), { headers: { ...unique, [planHeader]: again.hash } }),
      isStale,
    );
    assert.deepEqual(claims(), []);
  });
});

test("who asks for it where nothing is created, or in other words, is refused", async () => {
  const name = { uuid: machineUuid(1), project: central.project };
  const notTaken = refusedWith(Code.InvalidArgument, /creates no machine, and takes no holdfast-unique-name/);
  await assert.rejects(machines().get(name, { headers: unique }), notTaken);
  const other = { headers: { [uniqueNameHeader]: "yes" } };
  await assert.rejects(
    machines().create(central.wanted(), other),
    refusedWith(Code.InvalidArgument, /is "yes", and wants to be true/),
  );
  await central.waiting(1);
  await central.create();
  const { outcome } = await central
    .client(PlanService)
    .plan({ call: { case: "deleteMachine", value: name } }, { headers: unique });
  assert.equal(outcome.case === "refusal" && outcome.value.reason, "UNIQUE_NAME_NOT_TAKEN");
});

/** A project with machines 1 to `count`, and a central of its own for each store that is made of the common one. */
async function centralsOver(count: number, ...stores: ((common: Store) => Store)[]) {
  const store = new MemoryStore({ clock, random });
  const seeding = await machineCentral(store);
  await seeding.waiting(count);
  const { project, network } = seeding;
  const more = await seeding.childNetwork(project);
  const nowMs = seeding.clock.wallMs();
  await seeding.close();
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const open = (store: Store) => openState({ store, clock, random, log }, stop.signal);
  const states = await Promise.all(stores.map((of) => open(of(store))));
  const centrals = states.map((state) => {
    const give = creator({ state, clock: { ...clock, wallMs: () => nowMs }, random });
    const by = { cause: { actor: "ann", method: "", reason: "" }, keep: () => {} };
    return (isNameUnique: boolean, fields: Omit<CreateInit, "project" | "image">) =>
      give(create(MachineServiceCreateRequestSchema, { project, image: "debian-13", ...fields }), {
        ...by,
        isNameUnique,
      });
  });
  return {
    project,
    networks: [network, more].map((id) => [{ network: id }]),
    centrals,
    /** What is stored when all is over. */
    async end() {
      const last = await open(store);
      stop.abort();
      for (const state of [last, ...states]) await state.close();
      await store.close();
      return last;
    },
  };
}

const plain = (store: Store): Store => store;

test("a machine that another central has just created is seen, however late that is heard", async () => {
  const hear = new AbortController();
  const late = (store: Store): Store => ({
    ...{ history: () => store.history(), read: (key) => store.read(key), list: (prefix) => store.list(prefix) },
    ...{ commit: (commit) => store.commit(commit), compact: (to) => store.compact(to), close: () => store.close() },
    async *watch(wanted, signal) {
      for await (const batch of store.watch(wanted, signal)) {
        if (!hear.signal.aborted) await once(hear.signal, "abort");
        yield batch;
      }
    },
  });
  const { centrals, networks, end } = await centralsOver(2, plain, late);
  const [one, two] = centrals;
  // Of all else that a creation takes, the two have nothing in common.
  await one!(false, { name: "web", uuid: machineUuid(1), networks: networks[0]! });
  const second = two!(true, { name: "web", uuid: machineUuid(2), networks: networks[1]! });
  await turns(50);
  hear.abort();
  await assert.rejects(second, (e) => e instanceof Refusal && e.reason === "NAME_TAKEN");
  const state = await end();
  assert.deepEqual(
    state.list(kinds.claim).filter(({ id }) => id.startsWith("machine-name/")),
    [],
  );
});

test("of many that want a name at once, one has it that wants it alone, or some that do not", async () => {
  const names = ["a1", "b2", "c3", "d4", "e5", "f6", "g7", "h8"];
  const { centrals, networks, project, end } = await centralsOver(names.length * 4, plain, plain);
  const where = { partition: "lab", size: "small", networks: networks[0]! };
  const asked = names.flatMap((name) =>
    centrals.flatMap((give) => [true, false].map((isNameUnique) => give(isNameUnique, { ...where, name }))),
  );
  for (const ended of await Promise.allSettled(asked))
    if (ended.status === "rejected")
      assert.match(ended.reason instanceof Refusal ? `${ended.reason.reason}` : "", /^(NAME_TAKEN|CONFLICT)$/);
  const state = await end();
  for (const name of names) {
    const made = state
      .list(kinds.machineDesired)
      .flatMap(({ value: { allocation } }) => (allocation?.name === name ? [allocation.uuid] : []));
    const holder = state.get(kinds.claim, nameClaim({ project, name }))?.value.value;
    assert.ok(made.length === (holder === undefined ? 2 : 1), `${name}: ${made} of 2`);
    assert.equal(holder ?? made[0], made[0]);
  }
});
