import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { ProjectSchema } from "#gen/metalstack/api/v2/project_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import {
  encoded,
  kind,
  names,
  project,
  putOne,
  raw,
  setUp,
  take,
  texts,
  until,
} from "../io/testing/state-rehearsal.ts";
import type { Fold } from "./cache.ts";
import { lagMax } from "./change-feed.ts";
import { kinds } from "./kinds.ts";

describe("the state reads and writes:", () => {
  test("a transaction resolves when reads see it, at its own revision", async (t) => {
    const { open } = await setUp(t);
    const state = await open();
    const { result, revision } = await state.transact((tx) => {
      assert.equal(tx.get(kind, "p"), undefined);
      tx.put(kind, "p", project("one"));
      assert.equal(tx.get(kind, "p")?.name, "one", "a transaction reads its own writes");
      assert.deepEqual(
        tx.list(kind).map((row) => row.id),
        ["p"],
      );
      return 42;
    });
    assert.equal(result, 42);
    assert.equal(state.revision, revision);
    assert.equal(state.get(kind, "p")?.value.name, "one");
    assert.equal(state.get(kind, "p")?.revision, revision);
    assert.equal(state.get(kind, "p")?.created, revision);
  });

  test("what the store holds already is there when the state opens, in id order", async (t) => {
    const { store, open } = await setUp(t);
    await store.commit(raw("project/b", encoded("bee")));
    await store.commit(raw("project/a", encoded("ay")));
    const state = await open();
    assert.deepEqual(names(state), ["a=ay", "b=bee"]);
    assert.equal(state.revision, 2n);
    assert.equal(state.history, await store.history());
  });

  test("work that throws commits nothing, and its error goes through", async (t) => {
    const { open } = await setUp(t);
    const state = await open();
    const refused = state.transact((tx) => {
      tx.put(kind, "p", project("one"));
      throw new Refusal("exists", "there is one");
    });
    await assert.rejects(refused, { name: "Refusal", code: "exists" });
    assert.equal(state.revision, 0n);
  });

  test("a transaction that writes nothing commits nothing", async (t) => {
    const { store, open } = await setUp(t);
    const state = await open();
    store.isAway = true;
    assert.deepEqual(await state.transact((tx) => tx.delete(kind, "absent")), { result: undefined, revision: 0n });
  });

  test("a hundred racing increments lose nothing", async (t) => {
    const { open } = await setUp(t);
    const state = await open();
    await putOne(state, "p", "0");
    const increment = () =>
      state.transact((tx) => tx.put(kind, "p", project(String(Number(tx.get(kind, "p")?.name) + 1))));
    await Promise.all(Array.from({ length: 100 }, increment));
    assert.equal(state.get(kind, "p")?.value.name, "100");
  });

  test("a lost race runs the work again over what the winner wrote", async (t) => {
    const { store, open } = await setUp(t);
    const state = await open();
    await putOne(state, "p", "first");
    store.beforeCommit = async () => {
      store.beforeCommit = async () => undefined;
      await store.inner.commit(raw("project/p", encoded("winner")));
      return undefined;
    };
    const { result } = await state.transact((tx) => {
      const seen = tx.get(kind, "p")?.name;
      tx.put(kind, "p", project(`${seen}+mine`));
      return seen;
    });
    assert.equal(result, "winner");
    assert.equal(state.get(kind, "p")?.value.name, "winner+mine");
  });

  test("a put of what was not got is refused as well when somebody else changed it", async (t) => {
    const { store, open } = await setUp(t);
    const state = await open();
    let runs = 0;
    store.beforeCommit = async () => {
      store.beforeCommit = async () => undefined;
      await store.inner.commit(raw("project/p", encoded("winner")));
      return undefined;
    };
    await state.transact((tx) => {
      runs++;
      tx.put(kind, "p", project("mine"));
    });
    assert.equal(runs, 2);
  });

  test("sixteen lost races in a row are a conflict", async (t) => {
    const { clock, store, open } = await setUp(t);
    const state = await open();
    let runs = 0;
    let isOver = false;
    store.beforeCommit = async () => {
      await store.inner.commit(raw("project/p", encoded(`other ${runs}`)));
      return undefined;
    };
    const lost = state.transact((tx) => {
      runs++;
      tx.put(kind, "p", project("mine"));
    });
    const refused = assert.rejects(lost, { name: "Refusal", code: "conflict" }).finally(() => {
      isOver = true;
    });
    await until(clock, () => isOver);
    await refused;
    assert.equal(runs, 16);
  });

  test("who has lost a few races in a row lets others ahead for a moment", async (t) => {
    const { clock, store, open } = await setUp(t);
    const state = await open();
    const runsAt: number[] = [];
    store.beforeCommit = async () => {
      if (runsAt.length < 8) await store.inner.commit(raw("project/p", encoded(`other ${runsAt.length}`)));
      return undefined;
    };
    const done = state.transact((tx) => {
      runsAt.push(clock.monotonicMs());
      tx.put(kind, "p", project("mine"));
    });
    await until(clock, () => state.get(kind, "p")?.value.name === "mine");
    await done;
    const [begin = 0] = runsAt;
    assert.deepEqual(runsAt.slice(0, 3), [begin, begin, begin]);
    assert.ok((runsAt.at(-1) ?? 0) > begin, "it never waited");
    assert.ok((runsAt.at(-1) ?? 0) < begin + 1_000, "it waited too long");
  });

  test("a race that was lost to a key that came and went is run again after a moment", async (t) => {
    const { clock, store, open } = await setUp(t);
    const state = await open();
    store.beforeCommit = async () => {
      store.beforeCommit = async () => undefined;
      return { ok: false };
    };
    const done = putOne(state, "p", "mine");
    await turn();
    assert.deepEqual(names(state), []);
    await until(clock, () => state.get(kind, "p")?.value.name === "mine");
    await done;
  });

  test("folds sum up rows by group, follow changes, and see a transaction's own writes", async (t) => {
    const { open, store } = await setUp(t);
    const state = await open();
    await putOne(state, "a", "early");
    const byTenant: Fold<typeof kind, string, string> = {
      kind,
      name: "names-of-tenant",
      partsOf: ({ id, value: { tenant } }) => (tenant === "" ? [] : [{ group: tenant, part: id }]),
      none: (group) => `${group}:`,
      with: (sum, id) => sum + id,
      without: (sum, id) => sum.replace(id, ""),
    };
    const put = (id: string, tenant: string) => state.transact((tx) => tx.put(kind, id, project(id, { tenant })));
    await put("b", "T");
    const fold = state.fold(byTenant);
    assert.equal(state.fold({ ...byTenant }), fold);
    await put("c", "T");
    await put("d", "U");
    assert.deepEqual([state.folded(fold, "T"), state.folded(fold, "U")], ["T:bc", "U:d"]);
    await state.transact((tx) => {
      tx.put(kind, "e", project("e", { tenant: "T" }));
      tx.put(kind, "c", project("c", { tenant: "U" }));
      tx.delete(kind, "d");
      assert.deepEqual([tx.folded(fold, "T"), tx.folded(fold, "U")], ["T:be", "U:c"]);
      assert.equal(state.folded(fold, "T"), "T:bc");
    });
    assert.deepEqual([state.folded(fold, "T"), state.folded(fold, "U")], ["T:be", "U:c"]);
    await state.transact((tx) => tx.delete(kind, "c"));
    await store.inner.commit(raw("project/e", encoded("e")));
    await putOne(state, "x", "");
    assert.deepEqual([state.folded(fold, "T"), state.folded(fold, "U")], ["T:b", "U:"]);
  });

  test("indexes find by a key of the value and follow its changes", async (t) => {
    const { store, open } = await setUp(t);
    await store.commit(raw("project/p1", toBinary(ProjectSchema, project("one", { tenant: "t1" }))));
    const state = await open();
    const byTenant = state.index(kind, "by-tenant", (value) => value.tenant);
    assert.equal(
      state.index(kind, "by-tenant", (value) => value.tenant),
      byTenant,
    );
    const ids = (tenant: string) => state.by(byTenant, tenant).map((row) => row.id);
    await state.transact((tx) => {
      tx.put(kind, "p0", project("zero", { tenant: "t1" }));
      assert.deepEqual(
        tx.by(byTenant, "t1").map((row) => row.id),
        ["p0", "p1"],
      );
    });
    assert.deepEqual(ids("t1"), ["p0", "p1"]);
    await state.transact((tx) => tx.put(kind, "p1", project("one", { tenant: "t2" })));
    assert.deepEqual([ids("t1"), ids("t2")], [["p0"], ["p1"]]);
    await state.transact((tx) => tx.delete(kind, "p1"));
    assert.deepEqual(ids("t2"), []);
  });

  test("an index that looks at another kind as well follows both", async (t) => {
    const { open } = await setUp(t);
    const state = await open();
    const index = state.index(kind, "with-size", ({ name }, size) => size && `${name} ${size.id}`, kinds.size);
    const has = (from: Pick<typeof state, "by">, key: string) => from.by(index, key).length === 1;
    await state.transact((tx) => tx.put(kind, "p", project("one")));
    await state.transact((tx) => {
      tx.put(kinds.size, "p", create(SizeSchema, { id: "s" }));
      assert.ok(has(tx, "one s"), "a transaction sees what it wrote of the other kind");
      assert.ok(!has(state, "one s"));
    });
    assert.ok(has(state, "one s"));
    await state.transact((tx) => tx.put(kind, "p", project("two")));
    assert.deepEqual([has(state, "one s"), has(state, "two s")], [false, true]);
    await state.transact((tx) => tx.delete(kinds.size, "p"));
    assert.ok(!has(state, "two s"));
  });

  test("a grouping finds by a key and parts by a second one, and follows both kinds that it looks at", async (t) => {
    const { open } = await setUp(t);
    const state = await open();
    const places = ({ tenant, name }: { tenant: string; name: string }, size: { id: string } | undefined) =>
      size === undefined ? [] : [{ key: tenant, group: name }];
    const grouping = state.grouping(kind, "sized", places, kinds.size);
    assert.equal(state.grouping(kind, "sized", places, kinds.size), grouping);
    const groups = (key: string) =>
      [...state.groups(grouping, key)].map(([group, rows]) => `${group}:${[...rows.keys()].sort().join(" ")}`).sort();
    await state.transact((tx) => {
      for (const id of ["p", "q", "r"]) tx.put(kind, id, project(id === "r" ? "two" : "one", { tenant: "t" }));
      for (const id of ["p", "q", "r"]) tx.put(kinds.size, id, create(SizeSchema, { id }));
    });
    assert.deepEqual([groups("t"), groups("u")], [["one:p q", "two:r"], []]);
    await state.transact((tx) => tx.put(kind, "q", project("two", { tenant: "u" })));
    assert.deepEqual([groups("t"), groups("u")], [["one:p", "two:r"], ["two:q"]]);
    await state.transact((tx) => tx.delete(kinds.size, "r"));
    await state.transact((tx) => tx.delete(kind, "p"));
    assert.deepEqual([groups("t"), groups("u")], [[], ["two:q"]]);
  });

  test("a value with a time to live goes away by itself", async (t) => {
    const { clock, open } = await setUp(t);
    const state = await open();
    await state.transact((tx) => tx.put(kind, "p", project("brief"), { ttlMs: 5_000 }));
    clock.advance(4_900);
    await turn();
    assert.deepEqual(names(state), ["p=brief"]);
    clock.advance(200);
    await turn();
    assert.deepEqual(names(state), []);
  });
});

describe("the state's changes:", () => {
  test("come one batch per revision, from the moment of subscription, with before and after", async (t) => {
    const { open, signal } = await setUp(t);
    const state = await open();
    await putOne(state, "p", "one");
    const feed = state.changes(signal);
    await putOne(state, "p", "two");
    await state.transact((tx) => {
      tx.delete(kind, "p");
      tx.put(kind, "q", project("three"));
    });
    const batches = await take(feed, 2);
    assert.deepEqual(texts(batches), [["p:one>two"], ["q:undefined>three", "p:two>undefined"]]);
    assert.deepEqual(
      batches.map((b) => b.revision),
      [2n, 3n],
    );
  });

  test("end when their signal aborts", async (t) => {
    const { open } = await setUp(t);
    const state = await open();
    const controller = new AbortController();
    const taken = take(state.changes(controller.signal), 1);
    await turn();
    controller.abort();
    assert.deepEqual(await taken, []);
  });

  test("end with an error for a subscriber that lags too far behind", async (t) => {
    const { store, open, signal } = await setUp(t);
    const state = await open();
    const feed = state.changes(signal);
    for (let i = 0; i <= lagMax; i++) await store.inner.commit(raw("project/p", encoded(`${i}`)));
    await turn();
    await assert.rejects(take(feed, 1), /more than 10000 batches behind/);
  });
});
