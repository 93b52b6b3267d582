import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { IPServiceCreateRequestSchema } from "#gen/metalstack/api/v2/ip_pb.ts";
import { NetworkSchema, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { ProjectSchema } from "#gen/metalstack/api/v2/project_pb.ts";
import { silentLog as log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { Seeded } from "#lib/seeded.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { until } from "../io/testing/state-rehearsal.ts";
import { type NextSearch, searcher } from "../network/search.ts";
import { spaces } from "../network/spaces.ts";
import { kinds } from "../store/kinds.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { openState } from "../store/state.ts";
import type { Store } from "../store/store.ts";
import { takeAddress } from "./take.ts";

const project = "0e6a6e2c-93c4-4a67-9b5f-000000000000";
const request = create(IPServiceCreateRequestSchema, { network: "net", project });

/** Several centrals over one store, which counts the commits that come too late. */
async function crowd(prefix: string, count: number, signal: AbortSignal) {
  const clock = new VirtualClock();
  const random = new Seeded(1);
  const store: Store = new MemoryStore({ clock, random });
  const commit = store.commit.bind(store);
  let lost = 0;
  store.commit = async (wanted) => {
    const committed = await commit(wanted);
    if (!committed.ok) lost++;
    return committed;
  };
  const states = await Promise.all(
    Array.from({ length: count }, (_, i) => openState({ store, clock, random: random.branch(`${i}`), log }, signal)),
  );
  await states[0]?.transact((tx) => {
    tx.put(kinds.project, project, create(ProjectSchema, { uuid: project }));
    tx.put(kinds.network, "net", create(NetworkSchema, { id: "net", type: NetworkType.EXTERNAL, prefixes: [prefix] }));
  });
  // A commit of each after that: then all have seen the network.
  for (const [i, state] of states.entries()) {
    await state.transact((tx) => tx.put(kinds.project, `other-${i}`, create(ProjectSchema, {})));
  }
  const takers = states.map((state) => {
    const searching = searcher(random);
    const { addresses } = spaces(state);
    const take = (next: NextSearch) =>
      state.transact((tx) => takeAddress(tx, request, { uuid: project, nowMs: 0, addresses, search: next() }));
    return async () => (await searching(take)).result.ip;
  });
  /** As long as it takes: who has lost some races waits. */
  const settled = async (all: readonly Promise<string>[]) => {
    let isOver = false;
    const outcomes = Promise.allSettled(all).finally(() => {
      isOver = true;
    });
    await until(clock, () => isOver);
    return outcomes;
  };
  return { takers, settled, lost: () => lost };
}

test("four centrals that take 32 addresses each at once give out every one there is, once, and tell the others why not", async (t) => {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const { takers, settled } = await crowd("192.0.2.0/25", 4, stop.signal);
  const all = await settled(takers.flatMap((take) => Array.from({ length: 32 }, take)));
  const given = all.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  assert.equal(new Set(given).size, 125);
  assert.equal(given.length, 125);
  const refused = all.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
  assert.ok(refused.every((e) => e instanceof Refusal && e.code === "exhausted" && /all 125 of/.test(e.message)));
});

test("those who ask at once rarely meet where there is room, and who asks alone gets the lowest", async (t) => {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const { takers, settled, lost } = await crowd("10.0.0.0/16", 4, stop.signal);
  assert.equal(await takers[0]?.(), "10.0.0.2");
  const all = await settled(takers.flatMap((take) => Array.from({ length: 64 }, take)));
  const given = all.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  assert.equal(new Set(given).size, 256);
  // The first of each central wants the lowest; one of them gets it.
  assert.ok(lost() >= 3 && lost() < 10, `${lost()} commits came too late`);
  assert.ok(given.includes("10.0.0.3"));
});
