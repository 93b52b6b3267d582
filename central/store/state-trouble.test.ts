// What the state does when its store is away, restored, or holds what it cannot read.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import {
  encoded,
  kind,
  names,
  putOne,
  raw,
  setUp,
  take,
  texts,
  unreadable,
  until,
} from "../io/testing/state-rehearsal.ts";
import type { ChangeBatch } from "./cache.ts";
import { HistoryChanged } from "./follower.ts";
import type { State } from "./state.ts";
import { StoreUnavailable } from "./store.ts";

describe("when the store is away:", () => {
  test("reads go on, writes are refused by name, and the state catches up when it is back", async (t) => {
    const { clock, store, log, open } = await setUp(t);
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

  test("opening waits for it", async (t) => {
    const { clock, store, open } = await setUp(t);
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

  test("a commit that reads do not come to see in time says that it is stored", async (t) => {
    const { clock, store, open } = await setUp(t);
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

  test("closing ends what waits", async (t) => {
    const { open, signal } = await setUp(t);
    const state = await open();
    const taken = take(state.changes(signal), 1);
    await state.close();
    assert.deepEqual(await taken, []);
  });
});

describe("when the watch cannot go on:", () => {
  test("a compacted watch is made good by a listing, and subscribers get the difference as one batch", async (t) => {
    const { clock, store, open, signal } = await setUp(t);
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

  test("another history replaces everything, and subscribers are told to begin again", async (t) => {
    const { clock, store, memory, open, signal } = await setUp(t);
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
  test("is logged with its key and skipped, and nobody overwrites it", async (t) => {
    const { store, log, open } = await setUp(t);
    await store.commit(raw("project/bad", unreadable));
    await store.commit(raw("project/good", encoded("good")));
    const state = await open();
    assert.deepEqual(names(state), ["good=good"]);
    assert.deepEqual(state.unreadable, ["project/bad"]);
    assert.equal(log.lines.find((line) => line.event === "stored-value-unreadable")?.fields?.key, "project/bad");
    await assert.rejects(putOne(state, "bad", "new"), { code: "precondition", reason: "STORED_VALUE_UNREADABLE" });
  });

  test("does not look like a deletion: the last readable value stays until the key is readable again", async (t) => {
    const { clock, store, open, signal } = await setUp(t);
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

  test("kinds that this version does not know are left alone", async (t) => {
    const { store, open } = await setUp(t);
    await store.commit(raw("wormhole/1", unreadable));
    await store.commit(raw("no-slash", unreadable));
    const state = await open();
    await putOne(state, "p", "one");
    assert.deepEqual(state.unreadable, []);
    assert.deepEqual((await store.read("wormhole/1"))?.value, unreadable);
  });

  test("fields that this version does not know survive a change", async (t) => {
    const { store, open } = await setUp(t);
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
