// Four centrals over one store create and delete for one project at the same time: at no revision does it have more than its quota.
import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { QuotaSchema } from "#gen/holdfast/api/v1/quota_pb.ts";
import { IPServiceCreateRequestSchema } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineServiceCreateRequestSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { Seeded } from "#lib/seeded.ts";
import { testStore } from "../io/testing/test-store.ts";
import { takeAddress } from "../ip/take.ts";
import { creator } from "../machine/creator.ts";
import { searcher } from "../network/search.ts";
import { spaces } from "../network/spaces.ts";
import { kinds } from "../store/kinds.ts";
import { openState, type State } from "../store/state.ts";
import { machineCentral } from "../testing/machines.ts";
import { quotaKeeper, usedBy } from "./keep-quota.ts";

const cause = { actor: "ann", method: "", reason: "" };
const centrals = 4;
const workersEach = 3;
const operationsEach = 12;
const limits = { machines: 3, ips: 7 };

/** One central's hands. */
function handsOf(state: State, { project, network, nowMs }: { project: string; network: string; nowMs: number }) {
  const keepQuota = quotaKeeper(state);
  const { addresses } = spaces(state);
  const searching = searcher(random);
  const give = creator({ state, clock: { ...clock, wallMs: () => nowMs }, random });
  const machine = {
    project,
    name: "web",
    image: "debian-13",
    partition: "lab",
    size: "small",
    networks: [{ network }],
  };
  return {
    used: usedBy(state),
    machine: () => give(create(MachineServiceCreateRequestSchema, machine), { cause, keep: () => {} }),
    address: () =>
      searching((search) =>
        state.transact((tx) => {
          const asked = create(IPServiceCreateRequestSchema, { project, network });
          takeAddress(tx, asked, { uuid: random.uuid(), addresses, nowMs, search: search() });
          keepQuota(tx, project);
        }),
      ),
    forget: (which: number) => {
      const free = state.list(kinds.ip, (ip) => Object.keys(ip.meta?.labels?.labels ?? {}).length === 0);
      const one = free[which % free.length];
      return one === undefined ? Promise.resolve() : state.transact((tx) => tx.delete(kinds.ip, one.id));
    },
  };
}

type Hands = ReturnType<typeof handsOf>;

async function work(hands: Hands, seeded: Seeded): Promise<void> {
  const acts = [hands.machine, hands.address, hands.address, () => hands.forget(seeded.below(100))];
  for (let i = 0; i < operationsEach; i++) {
    try {
      await seeded.pick(acts)();
    } catch (error) {
      // Losing sixteen races in a row is a conflict, of which the caller hears; a quota that is used up is what this is about.
      assert.ok(error instanceof Refusal && ["QUOTA_EXCEEDED", "CONFLICT"].includes(error.reason ?? ""), String(error));
    }
  }
}

test("a quota is never passed at any central, and in the end all of it can be used", async () => {
  const { store, close } = testStore({ clock, random, log });
  const seeding = await machineCentral(store);
  await seeding.waiting(20);
  const { project, network } = seeding;
  await seeding.state.transact((tx) => tx.put(kinds.quota, project, create(QuotaSchema, { project, limits })));
  const about = { project, network, nowMs: seeding.clock.wallMs() };
  await seeding.close();
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const states: State[] = [];
  for (let i = 0; i < centrals; i++) states.push(await openState({ store, clock, random, log }, stop.signal));
  const all = states.map((state) => handsOf(state, about));
  const passed: string[] = [];
  const watching = states.map(async (state, i) => {
    for await (const { revision } of state.changes(stop.signal)) {
      const used = all[i]!.used(project);
      for (const what of ["machines", "ips"] as const)
        if (used[what] > limits[what]) passed.push(`${used[what]} ${what} at revision ${revision}`);
    }
  });
  const seeded = new Seeded(5);
  const workers = all.flatMap((hands, i) =>
    Array.from({ length: workersEach }, (_, w) => work(hands, seeded.branch(`${i}/${w}`))),
  );
  await Promise.all(workers);
  for (let tries = 0; tries < 20; tries++) {
    const { reason = "" } = await all[tries % centrals]!.address().then(
      () => new Refusal("exhausted", ""),
      (e) => e,
    );
    if (reason === "QUOTA_EXCEEDED") break;
  }
  const used = all[0]!.used(project);
  stop.abort();
  await Promise.allSettled(watching);
  for (const state of states) await state.close();
  await close();
  assert.deepEqual(passed, []);
  assert.equal(used.ips, limits.ips);
  assert.ok(used.machines <= limits.machines, String(used.machines));
});
