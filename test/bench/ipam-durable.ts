// Addresses taken by the shipped transaction, by one central or several, and what the same writes cost without it.
import { setMaxListeners } from "node:events";
import { create, toBinary } from "@bufbuild/protobuf";
import { takeAddress } from "#central/ip/take.ts";
import { searcher } from "#central/network/search.ts";
import { spaces } from "#central/network/spaces.ts";
import { keyOf, kinds } from "#central/store/kinds.ts";
import { openState, type State } from "#central/store/state.ts";
import type { Store } from "#central/store/store.ts";
import { ipId } from "#domain/ip/ip-id.ts";
import { IPSchema, IPServiceCreateRequestSchema } from "#gen/metalstack/api/v2/ip_pb.ts";
import { NetworkSchema, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { ProjectSchema } from "#gen/metalstack/api/v2/project_pb.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { CountedStore } from "./counted-store.ts";
import { nowMs } from "./protocol.ts";

export interface Amount {
  readonly takes: number;
  readonly parallel: number;
}

export interface Rate {
  readonly perSecond: number;
  /** Commits that were refused because somebody else was first. */
  readonly lost: number;
}

const project = "00000000-0000-4000-8000-000000000000";

/** @param stores one for each central, all of the same content */
export async function takeDurably(stores: readonly Store[], amount: Amount): Promise<Rate> {
  let lost = 0;
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const counted = (store: Store) =>
    new CountedStore(store, (_commit, { ok }) => {
      if (!ok) lost++;
    });
  const states: State[] = [];
  for (const store of stores) states.push(await openState({ store: counted(store), clock, random, log }, stop.signal));
  await states[0]?.transact((tx) => {
    tx.put(kinds.project, project, create(ProjectSchema, { uuid: project }));
    const network = { id: "net", type: NetworkType.EXTERNAL, prefixes: ["10.0.0.0/16"] };
    tx.put(kinds.network, "net", create(NetworkSchema, network));
  });
  while (states.some((state) => state.get(kinds.network, "net") === undefined)) await clock.sleep(10);
  const request = create(IPServiceCreateRequestSchema, { network: "net", project });
  const centrals = states.map((state) => ({ state, addresses: spaces(state).addresses, searching: searcher(random) }));
  const perSecond = await rate(amount, async (i) => {
    const { state, addresses, searching } = centrals[i % centrals.length]!;
    const uuid = random.uuid();
    await searching((next) =>
      state.transact((tx) => takeAddress(tx, request, { uuid, nowMs: clock.wallMs(), addresses, search: next() })),
    );
  });
  stop.abort();
  for (const state of states) await state.close();
  return { perSecond, lost };
}

/** The writes of as many addresses under the same conditions, given to the store as they are. */
export async function writeDurably(store: Store, amount: Amount): Promise<Rate> {
  const { items } = await store.list("");
  const conditions = items
    .filter(({ key }) => [keyOf(kinds.project, project), keyOf(kinds.network, "net")].includes(key))
    .map(({ key, revision }) => ({ key, revision }));
  const perSecond = await rate(amount, async (i) => {
    const ip = `10.9.${i >> 8}.${i & 255}`;
    const uuid = random.uuid();
    const key = keyOf(kinds.ip, ipId(undefined, ip));
    const value = toBinary(IPSchema, create(IPSchema, { uuid, ip, network: "net", project }));
    const committed = await store.commit({
      conditions: [...conditions, { key, revision: 0n }],
      puts: [{ key, value }],
      deletes: [],
    });
    if (!committed.ok) throw new Error(`raw commit ${i} was refused`);
  });
  return { perSecond, lost: 0 };
}

async function rate({ takes, parallel }: Amount, once: (i: number) => Promise<void>): Promise<number> {
  let next = 0;
  const begin = nowMs();
  const worker = async () => {
    for (let i = next++; i < takes; i = next++) await once(i);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return takes / ((nowMs() - begin) / 1_000);
}
