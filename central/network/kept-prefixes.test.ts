import assert from "node:assert/strict";
import { test } from "node:test";
import { clone, create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { OptimisticLockingStrategy as Lock } from "#gen/metalstack/api/v2/common_pb.ts";
import { IPService, IPServiceCreateRequestSchema } from "#gen/metalstack/api/v2/ip_pb.ts";
import { NetworkSchema, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { claim } from "../catalog/claim.ts";
import { byCentral } from "../history/cause.ts";
import { expiresByItself, testStore } from "../io/testing/test-store.ts";
import { takeAddress } from "../ip/take.ts";
import { kinds } from "../store/kinds.ts";
import { openState, type State } from "../store/state.ts";
import type { TestCentral } from "../testing/central.ts";
import { refusedWith } from "../testing/refused-with.ts";
import { until } from "../testing/until.ts";
import { wholeCentral } from "../testing/whole.ts";
import { recheck } from "./change.ts";
import { narrowing } from "./kept-prefixes.ts";
import { searcher } from "./search.ts";
import { spaces } from "./spaces.ts";

const id = "internet";
const stays = "192.0.2.0/24";
const leaves = "198.51.100.0/24";
const address = "198.51.100.9";

const make = (central: TestCentral) =>
  central.client(AdminNetworkService).create({ id, type: NetworkType.EXTERNAL, vrf: 77, prefixes: [stays, leaves] });
const narrow = (central: TestCentral, prefixes = [stays]) =>
  central.client(AdminNetworkService).update({ id, prefixes, updateMeta: { lockingStrategy: Lock.SERVER } });
const claims = ({ state }: { readonly state: State }) =>
  state.list(kinds.claim).filter((c) => c.id.startsWith("kept-prefixes/"));

/** A central whose transactions a test may stand before. */
async function interrupted() {
  const hooks = { before: async (_: number) => {} };
  let commits = 0;
  const watch = (state: State): State =>
    Object.create(state, {
      transact: {
        value: async (...given: Parameters<State["transact"]>) => {
          await hooks.before(++commits);
          return await state.transact(...given);
        },
      },
    });
  const central = await wholeCentral({ watch });
  await make(central);
  return {
    ...central,
    before(hook: (commit: number) => Promise<void>) {
      commits = 0;
      hooks.before = hook;
    },
    take: (ip?: string) =>
      central.client(IPService).create({ network: id, project: central.project, ...(ip ? { ip } : {}) }),
  };
}

/** One central's hands, on a clock that goes. */
function handsOf(state: State, project: string) {
  const { addresses } = spaces(state);
  const searching = searcher(random);
  const network = () => state.get(kinds.network, id)!.value;
  const change = (prefixes: string[]) => () =>
    state.transact((tx) => {
      const before = tx.get(kinds.network, id)!;
      const after = { ...clone(NetworkSchema, before), prefixes };
      recheck(tx, before, after, false);
      tx.put(kinds.network, id, after);
    });
  return {
    state,
    take: (ip?: string) =>
      searching((next) =>
        state.transact((tx) => {
          const asked = create(IPServiceCreateRequestSchema, { project, network: id, ...(ip ? { ip } : {}) });
          takeAddress(tx, asked, { uuid: random.uuid(), addresses, nowMs: 0, search: next() });
        }),
      ),
    turnTo: (prefixes: string[]) => narrowing(state, network(), prefixes, byCentral("test"), change(prefixes)),
    forgetAll: () =>
      state.transact((tx) => {
        for (const ip of tx.list(kinds.ip)) tx.delete(kinds.ip, ip.id);
      }),
  };
}

test("an address and the loss of its prefix do not both come about, at however many centrals", async () => {
  const { store, close } = testStore({ clock, random, log });
  const seeding = await wholeCentral({ store });
  await make(seeding);
  const stop = new AbortController();
  const states = await Promise.all([1, 2, 3, 4].map(() => openState({ store, clock, random, log }, stop.signal)));
  const hands = states.map((state) => handsOf(state, seeding.project));
  const [first] = hands as [(typeof hands)[0]];
  const outcomes = new Set<string>();
  for (let round = 0; round < 24; round++) {
    await first.turnTo([leaves, stays]);
    const { revision } = first.state;
    await until("the same at all centrals", () => states.every((state) => state.revision >= revision));
    const loss = () => hands[round % hands.length]!.turnTo([stays]);
    const takers = hands.flatMap(({ take }, i) => [() => take(`198.51.100.${10 + i}`), () => take()]);
    await Promise.allSettled(takers.toSpliced(round % (takers.length + 1), 0, loss).map((act) => act()));
    await first.state.transact((tx) => claim(tx, "seen", String(round)));
    const kept = first.state.get(kinds.network, id)!.value.prefixes;
    const taken = first.state.list(kinds.ip, (ip) => ip.network === id).map(({ value }) => value.ip);
    const lost = taken.filter((ip) => ip.startsWith("198.51.100.") && !kept.includes(leaves));
    assert.deepEqual(lost, [], `round ${round}: outside of ${kept}`);
    outcomes.add(kept.includes(leaves) ? "kept" : "lost");
    await first.forgetAll();
  }
  assert.deepEqual([...outcomes].sort(), ["kept", "lost"]);
  assert.deepEqual(claims(first), []);
  stop.abort();
  await Promise.all(states.map((state) => state.close()));
  await seeding.close();
  await close();
});

test("while a network loses a prefix, addresses are taken of the others", async () => {
  const central = await interrupted();
  const { take, before } = central;
  const seen: string[] = [];
  before(async (commit) => {
    if (commit !== 2) return;
    before(async () => {});
    await assert.rejects(take(address), refusedWith(Code.FailedPrecondition, /about to lose/));
    seen.push((await take()).ip?.ip ?? "");
  });
  assert.deepEqual((await narrow(central)).network?.prefixes, [stays]);
  assert.deepEqual(seen, ["192.0.2.2"]);
  assert.deepEqual(claims(central), []);
  await central.close();
});

test("a network that keeps its prefix, as somebody has an address of it, goes on giving it away", async () => {
  const central = await interrupted();
  await central.take(address);
  await assert.rejects(narrow(central), refusedWith(Code.FailedPrecondition, /198\.51\.100\.9 is in use/));
  assert.deepEqual(claims(central), []);
  await central.take("198.51.100.10");
  await central.close();
});

test("what was told of a loss that a death broke off goes by itself", { skip: expiresByItself }, async () => {
  const central = await interrupted();
  central.before(async (commit) => {
    if (commit > 1) throw new Error("this central has died");
  });
  await assert.rejects(narrow(central), refusedWith(Code.Internal, /./));
  central.before(async () => {});
  await assert.rejects(central.take(address), refusedWith(Code.FailedPrecondition, /about to lose/));
  central.clock.advance(60_000);
  await until("the end of the claim", () => claims(central).length === 0);
  await central.take(address);
  await central.close();
});

test("a loss is refused that was told too long ago, or that is another one by now", async () => {
  const central = await interrupted();
  const { state } = central;
  central.before(async (commit) => {
    if (commit === 2) await state.transact((tx) => tx.delete(kinds.claim, `kept-prefixes/${id}`));
  });
  await assert.rejects(narrow(central), refusedWith(Code.Aborted, /meanwhile/));
  central.before(async () => {
    central.before(async () => {});
    await state.transact((tx) => {
      const network = clone(NetworkSchema, tx.get(kinds.network, id)!);
      network.prefixes = [stays, "203.0.113.0/24"];
      tx.put(kinds.network, id, network);
    });
  });
  await assert.rejects(narrow(central, [leaves, stays]), refusedWith(Code.Aborted, /meanwhile/));
  await central.close();
});
