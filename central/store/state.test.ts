import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ProjectSchema } from "#gen/metalstack/api/v2/project_pb.ts";
import { systemRandom } from "#lib/io/system-random.ts";
import type { Log, LogFields } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { type ChangeBatch, isOf } from "./cache.ts";
import { lagMax } from "./change-feed.ts";
import { HistoryChanged } from "./follower.ts";
import { kinds } from "./kinds.ts";
import { MemoryStore } from "./memory-store.ts";
import { openState, type State } from "./state.ts";
import { type Batch, type Commit, type Committed, type Listing, type Store, StoreUnavailable } from "./store.ts";

const { project: kind } = kinds;
const project = (name: string, more: MessageInitShape<typeof ProjectSchema> = {}) =>
  create(ProjectSchema, { ...more, name });
const encoded = (name: string) => toBinary(ProjectSchema, project(name));
const raw = (key: string, value: Uint8Array): Commit => ({ conditions: [], puts: [{ key, value }], deletes: [] });
const unreadable = new Uint8Array([0xff, 0xff, 0xff]);

/** A store that a test can take away, swap, hold back or get ahead of. */
class UnreliableStore implements Store {
  inner: Store;
  isAway = false;
  /** May answer in the store's place. */
  beforeCommit: () => Promise<Committed | undefined> = async () => undefined;
  lists = 0;
  #cut = new AbortController();

  constructor(inner: Store) {
    this.inner = inner;
  }

  /** Ends the watches that run now with an error. */
  cut(): void {
    this.#cut.abort();
    this.#cut = new AbortController();
  }

  history(): Promise<string> {
    this.#check();
    return this.inner.history();
  }

  read(key: string) {
    this.#check();
    return this.inner.read(key);
  }

  list(prefix: string): Promise<Listing> {
    this.#check();
    this.lists++;
    return this.inner.list(prefix);
  }

  async *watch(wanted: { readonly prefix: string; readonly after: bigint }, signal: AbortSignal): AsyncIterable<Batch> {
    this.#check();
    const cut = this.#cut.signal;
    yield* this.inner.watch(wanted, AbortSignal.any([signal, cut]));
    if (cut.aborted) throw new StoreUnavailable("the test's store is cut off");
  }

  async commit(commit: Commit): Promise<Committed> {
    this.#check();
    return (await this.beforeCommit()) ?? this.inner.commit(commit);
  }

  async compact(revision: bigint): Promise<void> {
    await this.inner.compact(revision);
  }

  async close(): Promise<void> {
    await this.inner.close();
  }

  #check(): void {
    if (this.isAway) throw new StoreUnavailable("the test's store is away");
  }
}

class Lines implements Log {
  readonly lines: { readonly event: string; readonly fields: LogFields | undefined }[] = [];
  debug = (event: string, fields?: LogFields) => void this.lines.push({ event, fields });
  info = this.debug;
  warn = this.debug;
  error = this.debug;
  child = () => this;

  count(event: string): number {
    return this.lines.filter((line) => line.event === event).length;
  }
}

const running: AbortController[] = [];
afterEach(() => {
  for (const controller of running.splice(0)) controller.abort();
});

async function setUp() {
  const clock = new VirtualClock();
  const memory = () => new MemoryStore({ clock, random: systemRandom });
  const store = new UnreliableStore(memory());
  const log = new Lines();
  const controller = new AbortController();
  running.push(controller);
  const open = () => openState({ store, clock, random: systemRandom, log }, controller.signal);
  return { clock, store, log, memory, open, signal: controller.signal };
}

/** Lets time pass in small steps until it is so, or a minute of it has passed. */
async function until(clock: VirtualClock, isSo: () => boolean): Promise<void> {
  for (let step = 0; step < 600 && !isSo(); step++) {
    await turn();
    if (!isSo()) clock.advance(100);
  }
  assert.ok(isSo(), "it did not come true within a minute");
}

const names = (state: State) => state.list(kind).map((row) => `${row.id}=${row.value.name}`);
const putOne = (state: State, id: string, name: string) => state.transact((tx) => tx.put(kind, id, project(name)));

async function take(feed: AsyncIterable<ChangeBatch>, count: number): Promise<ChangeBatch[]> {
  const taken: ChangeBatch[] = [];
  for await (const batch of feed) {
    taken.push(batch);
    if (taken.length === count) break;
  }
  return taken;
}

const texts = (batches: readonly ChangeBatch[]) =>
  batches.map((b) =>
    b.changes.map((c) => (isOf(kind, c) ? `${c.id}:${c.before?.name}>${c.value?.name}` : c.kind.name)),
  );

describe("the state reads and writes:", () => {
  test("a transaction resolves when reads see it, at its own revision", async () => {
    const { open } = await setUp();
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

  test("what the store holds already is there when the state opens, in id order", async () => {
    const { store, open } = await setUp();
    await store.commit(raw("project/b", encoded("bee")));
    await store.commit(raw("project/a", encoded("ay")));
    const state = await open();
    assert.deepEqual(names(state), ["a=ay", "b=bee"]);
    assert.equal(state.revision, 2n);
    assert.equal(state.history, await store.history());
  });

  test("work that throws commits nothing, and its error goes through", async () => {
    const { open } = await setUp();
    const state = await open();
    const refused = state.transact((tx) => {
      tx.put(kind, "p", project("one"));
      throw new Refusal("exists", "there is one");
    });
    await assert.rejects(refused, { name: "Refusal", code: "exists" });
    assert.equal(state.revision, 0n);
  });

  test("a transaction that writes nothing commits nothing", async () => {
    const { store, open } = await setUp();
    const state = await open();
    store.isAway = true;
    assert.deepEqual(await state.transact((tx) => tx.delete(kind, "absent")), { result: undefined, revision: 0n });
  });

  test("a hundred racing increments lose nothing", async () => {
    const { open } = await setUp();
    const state = await open();
    await putOne(state, "p", "0");
    const increment = () =>
      state.transact((tx) => tx.put(kind, "p", project(String(Number(tx.get(kind, "p")?.name) + 1))));
    await Promise.all(Array.from({ length: 100 }, increment));
    assert.equal(state.get(kind, "p")?.value.name, "100");
  });

  test("a lost race runs the work again over what the winner wrote", async () => {
    const { store, open } = await setUp();
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

  test("a put of what was not got is refused as well when somebody else changed it", async () => {
    const { store, open } = await setUp();
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

  test("sixteen lost races in a row are a conflict", async () => {
    const { store, open } = await setUp();
    const state = await open();
    let runs = 0;
    store.beforeCommit = async () => {
      await store.inner.commit(raw("project/p", encoded(`other ${runs}`)));
      return undefined;
    };
    const lost = state.transact((tx) => {
      runs++;
      tx.put(kind, "p", project("mine"));
    });
    await assert.rejects(lost, { name: "Refusal", code: "conflict" });
    assert.equal(runs, 16);
  });

  test("a race that was lost to a key that came and went is run again after a moment", async () => {
    const { clock, store, open } = await setUp();
    const state = await open();
    store.beforeCommit = async () => {
      store.beforeCommit = async () => undefined;
      return { ok: false, conflicts: ["project/p"] };
    };
    const done = putOne(state, "p", "mine");
    await turn();
    assert.deepEqual(names(state), []);
    await until(clock, () => state.get(kind, "p")?.value.name === "mine");
    await done;
  });

  test("indexes find by a key of the value and follow its changes", async () => {
    const { store, open } = await setUp();
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

  test("a value with a time to live goes away by itself", async () => {
    const { clock, open } = await setUp();
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
  test("come one batch per revision, from the moment of subscription, with before and after", async () => {
    const { open, signal } = await setUp();
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

  test("end when their signal aborts", async () => {
    const { open } = await setUp();
    const state = await open();
    const controller = new AbortController();
    const taken = take(state.changes(controller.signal), 1);
    await turn();
    controller.abort();
    assert.deepEqual(await taken, []);
  });

  test("end with an error for a subscriber that lags too far behind", async () => {
    const { store, open, signal } = await setUp();
    const state = await open();
    const feed = state.changes(signal);
    for (let i = 0; i <= lagMax; i++) await store.inner.commit(raw("project/p", encoded(`${i}`)));
    await turn();
    await assert.rejects(take(feed, 1), /more than 10000 batches behind/);
  });
});

describe("when the store is away:", () => {
  test("reads go on, writes are refused by name, and the state catches up when it is back", async () => {
    const { clock, store, log, open } = await setUp();
    const state = await open();
    await putOne(state, "p", "one");
    store.isAway = true;
    store.cut();
    await until(clock, () => state.away !== undefined);
    clock.advance(30_000);
    await turn();
    assert.deepEqual(names(state), ["p=one"]);
    await assert.rejects(putOne(state, "p", "two"), {
      name: "Refusal",
      code: "unavailable",
      message: "the change may not be stored: the test's store is away",
    });
    await store.inner.commit(raw("project/q", encoded("meanwhile")));
    store.isAway = false;
    await until(clock, () => state.away === undefined);
    await until(clock, () => names(state).length === 2);
    await putOne(state, "p", "three");
    assert.deepEqual(names(state), ["p=three", "q=meanwhile"]);
    assert.equal(store.lists, 1, "the watch resumed, without a new listing");
    assert.equal(log.count("store-away"), 1, "an outage is logged once");
    assert.equal(log.count("store-back"), 1);
  });

  test("opening waits for it", async () => {
    const { clock, store, open } = await setUp();
    store.isAway = true;
    let opened: State | undefined;
    void open().then((state) => {
      opened = state;
    });
    clock.advance(1_000);
    await turn();
    assert.equal(opened, undefined);
    store.isAway = false;
    await until(clock, () => opened !== undefined);
  });

  test("a commit that reads do not come to see in time says that it is stored", async () => {
    const { clock, store, open } = await setUp();
    const state = await open();
    await turn();
    store.cut();
    await turn();
    store.history = async () => {
      throw new StoreUnavailable("no history");
    };
    const stuck = putOne(state, "p", "one").then(
      () => "stored",
      (error: Error) => error.message,
    );
    let message: string | undefined;
    void stuck.then((text) => {
      message = text;
    });
    await until(clock, () => message !== undefined);
    assert.equal(message, "the change is stored at revision 1, but this server still reads at 0");
  });

  test("closing ends what waits", async () => {
    const { open, signal } = await setUp();
    const state = await open();
    const taken = take(state.changes(signal), 1);
    await state.close();
    assert.deepEqual(await taken, []);
  });
});

describe("when the watch cannot go on:", () => {
  test("a compacted watch is made good by a listing, and subscribers get the difference as one batch", async () => {
    const { clock, store, open, signal } = await setUp();
    const state = await open();
    for (const name of ["kept", "changed", "deleted"]) await putOne(state, name, "before");
    const feed = state.changes(signal);
    store.isAway = true;
    store.cut();
    await until(clock, () => state.away !== undefined);
    await store.inner.commit(raw("project/changed", encoded("after")));
    await store.inner.commit({ conditions: [], puts: [], deletes: ["project/deleted"] });
    await store.inner.commit(raw("project/new", encoded("after")));
    await store.inner.compact(6n);
    store.isAway = false;
    await until(clock, () => state.revision === 6n);
    assert.equal(store.lists, 2);
    const [batch] = await take(feed, 1);
    assert.equal(batch?.revision, 6n);
    assert.deepEqual(texts([batch as ChangeBatch]), [
      ["deleted:before>undefined", "changed:before>after", "new:undefined>after"],
    ]);
  });

  test("another history replaces everything, and subscribers are told to begin again", async () => {
    const { clock, store, memory, open, signal } = await setUp();
    const state = await open();
    await putOne(state, "p", "one");
    await putOne(state, "p", "two");
    const before = state.history;
    const feed = take(state.changes(signal), 1);
    const ended = assert.rejects(feed, HistoryChanged);
    store.inner = memory();
    await store.inner.commit(raw("project/p", encoded("restored")));
    store.cut();
    await until(clock, () => state.history !== before);
    await ended;
    assert.deepEqual(names(state), ["p=restored"]);
    assert.equal(state.revision, 1n);
    await putOne(state, "p", "goes on");
    assert.equal(state.revision, 2n);
  });
});

describe("what cannot be read:", () => {
  test("is logged with its key and skipped, and nobody overwrites it", async () => {
    const { store, log, open } = await setUp();
    await store.commit(raw("project/bad", unreadable));
    await store.commit(raw("project/good", encoded("good")));
    const state = await open();
    assert.deepEqual(names(state), ["good=good"]);
    assert.deepEqual(state.unreadable, ["project/bad"]);
    assert.equal(log.lines.find((line) => line.event === "stored-value-unreadable")?.fields?.key, "project/bad");
    await assert.rejects(putOne(state, "bad", "new"), { code: "precondition", reason: "STORED_VALUE_UNREADABLE" });
  });

  test("does not look like a deletion: the last readable value stays until the key is readable again", async () => {
    const { clock, store, open, signal } = await setUp();
    const state = await open();
    await putOne(state, "p", "last");
    const feed = state.changes(signal);
    await store.inner.commit(raw("project/p", unreadable));
    await until(clock, () => state.revision === 2n);
    assert.deepEqual(names(state), ["p=last"]);
    await store.inner.commit(raw("project/p", encoded("healed")));
    await until(clock, () => state.revision === 3n);
    assert.deepEqual(state.unreadable, []);
    assert.deepEqual(texts(await take(feed, 1)), [["p:last>healed"]]);
  });

  test("kinds that this version does not know are left alone", async () => {
    const { store, open } = await setUp();
    await store.commit(raw("wormhole/1", unreadable));
    await store.commit(raw("no-slash", unreadable));
    const state = await open();
    await putOne(state, "p", "one");
    assert.deepEqual(state.unreadable, []);
    assert.deepEqual((await store.read("wormhole/1"))?.value, unreadable);
  });

  test("fields that this version does not know survive a change", async () => {
    const { store, open } = await setUp();
    const unknownField = new Uint8Array([0xfa, 0x07, 2, 104, 105]); // field 127, "hi"
    await store.commit(raw("project/p", new Uint8Array([...encoded("one"), ...unknownField])));
    const state = await open();
    await state.transact((tx) => {
      const seen = tx.get(kind, "p");
      assert.ok(seen);
      tx.put(kind, "p", { ...seen, name: "two" });
    });
    const stored = (await store.read("project/p"))?.value ?? new Uint8Array();
    assert.deepEqual(stored.subarray(-5), unknownField);
    assert.equal(state.get(kind, "p")?.value.name, "two");
  });
});
