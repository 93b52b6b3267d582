// One suite over every store adapter: what a store promises, and nothing about how.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "#lib/io/system-clock.ts";
import { systemRandom } from "#lib/io/system-random.ts";
import { silentLog } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { EtcdStore } from "../io/etcd-store.ts";
import { LmdbStore } from "../io/lmdb-store.ts";
import { type EtcdCluster, etcdMissing, startEtcd } from "../io/testing/etcd-process.ts";
import { storeLimits } from "./limits.ts";
import { MemoryStore } from "./memory-store.ts";
import { type Batch, type Commit, Compacted, type Store, StoreUnavailable } from "./store.ts";

interface Subject {
  readonly name: string;
  readonly skip?: string | undefined;
  /** A new, empty store, or a new connection to the one that there is. */
  open(): Promise<Store>;
  /** Lets a virtual clock go on; a real one does so by itself. */
  pass(ms: number): void;
  stop(): Promise<void>;
}

const folder = mkdtempSync(path.join(tmpdir(), "holdfast-store-"));
after(() => rmSync(folder, { recursive: true }));

function memory(): Subject {
  const clock = new VirtualClock();
  return {
    name: "memory",
    open: async () => new MemoryStore({ clock, random: systemRandom }),
    pass: (ms) => clock.advance(ms),
    stop: async () => undefined,
  };
}

function lmdb(): Subject {
  const clock = new VirtualClock();
  let opened = 0;
  return {
    name: "lmdb",
    open: async () =>
      new LmdbStore({ clock, random: systemRandom, log: silentLog }, { folder: path.join(folder, `lmdb-${opened++}`) }),
    pass: (ms) => clock.advance(ms),
    stop: async () => undefined,
  };
}

function etcd(): Subject {
  let cluster: EtcdCluster | undefined;
  return {
    name: "etcd",
    skip: etcdMissing(),
    async open() {
      cluster ??= await startEtcd({ dataDir: path.join(folder, "etcd"), flush: "none" });
      return new EtcdStore(
        { clock: systemClock, random: systemRandom, log: silentLog },
        { endpoints: cluster.endpoints },
      );
    },
    pass: () => undefined,
    stop: async () => cluster?.stop(),
  };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined) => value && new TextDecoder().decode(value);
const nothing: Commit = { conditions: [], puts: [], deletes: [] };
const put = (key: string, value = key): Commit => ({ ...nothing, puts: [{ key, value: bytes(value) }] });

/** `key=value` or `key gone`, of each change. */
const changed = ({ changes }: Batch) =>
  changes.map(({ key, item }) => (item ? `${key}=${text(item.value)}` : `${key} gone`)).sort();

async function must(store: Store, commit: Commit): Promise<bigint> {
  const committed = await store.commit(commit);
  assert.ok(committed.ok, "the commit met a conflict");
  return committed.revision;
}

/** Takes so many batches of a watch, and stops it. */
async function take(store: Store, prefix: string, from: bigint, count: number): Promise<Batch[]> {
  const controller = new AbortController();
  const batches: Batch[] = [];
  for await (const batch of store.watch({ prefix, after: from }, controller.signal)) {
    if (batch.changes.length > 0 && batches.push(batch) === count) controller.abort();
  }
  return batches;
}

for (const subject of [memory(), lmdb(), etcd()]) {
  describe(`${subject.name}:`, { skip: subject.skip ?? false }, () => {
    let store: Store;
    before(async () => {
      store = await subject.open();
    });
    after(async () => {
      await store?.close();
      await subject.stop();
    });
    const revision = async () => (await store.list("")).revision;

    test("a commit is read back with its revision, and the revision at which the key came to be", async () => {
      const first = await must(store, put("rw/a", "one"));
      const second = await must(store, put("rw/a", "two"));
      assert.ok(second > first, "revisions rise");
      assert.deepEqual(await store.read("rw/a"), {
        key: "rw/a",
        value: bytes("two"),
        revision: second,
        created: first,
      });
      assert.equal(await store.read("rw/absent"), undefined);
    });

    test("a key that was deleted and put again has come to be again", async () => {
      await must(store, put("again/a"));
      await must(store, { ...nothing, deletes: ["again/a"] });
      assert.equal(await store.read("again/a"), undefined);
      const created = await must(store, put("again/a"));
      assert.equal((await store.read("again/a"))?.created, created);
    });

    test("all of a commit has one revision", async () => {
      await must(store, put("one/gone"));
      const at = await must(store, {
        conditions: [],
        puts: [...put("one/a").puts, ...put("one/b").puts],
        deletes: ["one/gone"],
      });
      const listing = await store.list("one/");
      assert.deepEqual(
        listing.items.map((i) => [i.key, i.revision]),
        [
          ["one/a", at],
          ["one/b", at],
        ],
      );
      const [batch] = await take(store, "one/", at - 1n, 1);
      assert.deepEqual(batch && [batch.revision, changed(batch)], [
        at,
        ["one/a=one/a", "one/b=one/b", "one/gone gone"],
      ]);
    });

    test("a commit goes through only when every condition holds", async () => {
      const at = await must(store, put("cond/a"));
      const conditions = [
        { key: "cond/a", revision: at },
        { key: "cond/absent", revision: 0n },
      ];
      const next = await must(store, { ...put("cond/a", "two"), conditions });
      const again = await store.commit({
        ...put("cond/b"),
        conditions: [...conditions, { key: "cond/never", revision: 7n }],
      });
      assert.deepEqual(again, { ok: false });
      const exists = await store.commit({ ...put("cond/a"), conditions: [{ key: "cond/a", revision: 0n }] });
      assert.deepEqual(exists, { ok: false });
      assert.equal(await store.read("cond/b"), undefined, "a refused commit changes nothing");
      assert.equal(await revision(), next);
    });

    test("a commit that changes nothing makes no revision", async () => {
      const at = await revision();
      assert.equal(await must(store, { ...nothing, deletes: ["void/absent"] }), at);
      assert.equal(await must(store, nothing), at);
      assert.equal(await revision(), at);
    });

    test("values are kept as they were when committed", async () => {
      const value = bytes("kept");
      await must(store, { ...nothing, puts: [{ key: "copy/a", value }] });
      value.fill(0);
      assert.equal(text((await store.read("copy/a"))?.value), "kept");
      await must(store, { ...nothing, puts: [{ key: "copy/empty", value: new Uint8Array() }] });
      assert.deepEqual((await store.read("copy/empty"))?.value, new Uint8Array());
    });

    test("a listing has what is under the prefix, in key order, and nothing else", async () => {
      for (const key of ["pre/b", "pre/a/2", "prefix/x", "pre", "pre/ü", "pre/a/1"]) await must(store, put(key));
      const { items } = await store.list("pre/");
      assert.deepEqual(
        items.map((i) => i.key),
        ["pre/a/1", "pre/a/2", "pre/b", "pre/ü"],
      );
      assert.deepEqual(
        items.map((i) => text(i.value)),
        ["pre/a/1", "pre/a/2", "pre/b", "pre/ü"],
      );
      assert.deepEqual((await store.list("nowhere/")).items, []);
    });

    test("a listing of thousands is whole", async () => {
      const keys = Array.from({ length: 3_000 }, (_, i) => `many/${String(i).padStart(5, "0")}`);
      for (let from = 0; from < keys.length; from += 100) {
        const puts = keys.slice(from, from + 100).map((key) => ({ key, value: bytes(key.repeat(20)) }));
        await must(store, { ...nothing, puts });
      }
      const { items } = await store.list("many/");
      assert.deepEqual(
        items.map((i) => i.key),
        keys,
      );
      assert.ok(items.every((i) => text(i.value) === i.key.repeat(20)));
    });

    test("a watch gives what happened after its revision, and then what happens, once and in order", async () => {
      const start = await must(store, put("watch/0"));
      await must(store, put("watch/1"));
      await must(store, { ...nothing, deletes: ["watch/0"] });
      const taken = take(store, "watch/", start, 4);
      await must(store, put("watch/2"));
      await must(store, put("elsewhere/1"));
      await must(store, put("watch/3"));
      const batches = await taken;
      assert.deepEqual(batches.map(changed), [
        ["watch/1=watch/1"],
        ["watch/0 gone"],
        ["watch/2=watch/2"],
        ["watch/3=watch/3"],
      ]);
    });

    test("a watch resumes from any revision without gap or repeat", async () => {
      const start = await revision();
      for (let i = 0; i < 12; i++) await must(store, put("resume/a", String(i)));
      const all = await take(store, "resume/", start, 12);
      assert.deepEqual(
        all.map(changed),
        Array.from({ length: 12 }, (_, i) => [`resume/a=${i}`]),
      );
      for (let held = 0; held < 11; held += 2) {
        const rest = await take(store, "resume/", (all[held] as Batch).revision, 11 - held);
        assert.deepEqual(rest, all.slice(held + 1));
      }
    });

    test("a watch before the compaction is told so, one at it goes on", async () => {
      const first = await must(store, put("compact/a", "1"));
      const second = await must(store, { ...nothing, deletes: ["compact/a"] });
      await must(store, put("compact/a", "3"));
      await store.compact(second);
      await assert.rejects(take(store, "compact/", first, 1), Compacted);
      await assert.rejects(take(store, "compact/", 0n, 1), Compacted);
      assert.deepEqual((await take(store, "compact/", second, 1)).map(changed), [["compact/a=3"]]);
      await store.compact(first);
      assert.equal(text((await store.read("compact/a"))?.value), "3", "compaction keeps what is there");
      const now = await revision();
      await store.compact(now);
      const next = take(store, "compact/", now, 1);
      await must(store, put("compact/b"));
      assert.deepEqual((await next).map(changed), [["compact/b=compact/b"]]);
    });

    test("a key with a time to live goes away as a deletion, one that was put again without stays", async () => {
      const puts = ["ttl/brief", "ttl/renewed"].map((key) => ({ key, value: bytes(key), ttlMs: 1_000 }));
      const at = await must(store, { ...nothing, puts });
      await must(store, put("ttl/renewed"));
      const gone = take(store, "ttl/", at + 1n, 1);
      subject.pass(1_500);
      const [batch] = await gone;
      assert.deepEqual(batch && changed(batch), ["ttl/brief gone"]);
      assert.ok(batch && batch.revision > at);
      assert.equal(await store.read("ttl/brief"), undefined);
      assert.equal(text((await store.read("ttl/renewed"))?.value), "ttl/renewed");
    });

    test("a hundred racing increments lose nothing", async () => {
      await must(store, put("race/n", "0"));
      const increment = async () => {
        for (;;) {
          const seen = await store.read("race/n");
          const conditions = [{ key: "race/n", revision: seen?.revision ?? 0n }];
          const next = String(Number(text(seen?.value)) + 1);
          if ((await store.commit({ ...put("race/n", next), conditions })).ok) return;
        }
      };
      const racer = async () => {
        for (let i = 0; i < 10; i++) await increment();
      };
      await Promise.all(Array.from({ length: 10 }, racer));
      assert.equal(text((await store.read("race/n"))?.value), "100");
    });

    test("of concurrent commits the watch has all, each in the batch of its revision, in order", async () => {
      const start = await revision();
      const keys = Array.from({ length: 200 }, (_, i) => `crowd/${i}`);
      const revisions = await Promise.all(keys.map((key) => must(store, put(key))));
      const watched = await take(store, "crowd/", start, new Set(revisions).size);
      assert.deepEqual(
        watched.map((batch) => batch.revision),
        [...new Set(revisions)].toSorted((a, b) => Number(a - b)),
      );
      const seen = watched.flatMap((batch) => batch.changes.map(({ key }) => [key, batch.revision] as const));
      assert.equal(seen.length, keys.length);
      assert.deepEqual(new Map(seen), new Map(keys.map((key, i) => [key, revisions[i]])));
    });

    test("of concurrent commits under conditions each has its own outcome", async () => {
      const taken = await must(store, put("met/taken"));
      const wanting = Array.from({ length: 60 }, (_, i) => {
        const key = `met/${i}`;
        const conditions = [{ key, revision: 0n }, ...(i % 3 === 0 ? [{ key: "met/taken", revision: 0n }] : [])];
        return store.commit({ ...put(key), conditions });
      });
      for (const [i, committed] of (await Promise.all(wanting)).entries()) {
        assert.equal(committed.ok, i % 3 !== 0);
      }
      assert.equal((await store.list("met/")).items.length, 41);
      assert.equal((await store.read("met/taken"))?.revision, taken);
    });

    test("of two that each write what the other one has read, one loses", async () => {
      const [a, b] = [await must(store, put("skew/a")), await must(store, put("skew/b"))];
      const [puts, conditions] = [
        [put("skew/a").puts, put("skew/b").puts],
        [
          { key: "skew/a", revision: a },
          { key: "skew/b", revision: b },
        ],
      ];
      const many = Array.from({ length: 20 }, (_, i) =>
        store.commit({ ...nothing, conditions, puts: puts[i % 2] ?? [] }),
      );
      assert.equal((await Promise.all(many)).filter(({ ok }) => ok).length, 1);
    });

    test("too much is refused by name, before anything is changed", async () => {
      const at = await revision();
      const refused = (commit: Commit, message: RegExp) =>
        assert.rejects(
          store.commit(commit),
          (error) => error instanceof Refusal && error.code === "exhausted" && message.test(error.message),
        );
      const many = Array.from({ length: 129 }, (_, i) => put(`limit/${i}`).puts).flat();
      await refused({ ...nothing, puts: many }, /129 operations, .* exceeds the store's 128/);
      const large = { key: "limit/large", value: new Uint8Array(storeLimits.commitBytes + 1) };
      await refused({ ...nothing, puts: [large] }, /the value of limit\/large, 1556481 bytes, exceeds/);
      await refused(put(`limit/${"x".repeat(1_024)}`), /the key limit\/x+…, 1030 bytes, exceeds the store's 1024/);
      assert.equal(await revision(), at);
    });

    test("the largest commits are stored beside many small ones", async () => {
      const many = Array.from({ length: 128 }, (_, i) => put(`beside/many/${i}`).puts).flat();
      const large = { key: "beside/large", value: new Uint8Array(storeLimits.commitBytes - 12) };
      const small = Array.from({ length: 100 }, (_, i) => put(`beside/small/${i}`));
      const all = [...small, { ...nothing, puts: many }, { ...nothing, puts: [large] }, put("beside/last")];
      await Promise.all(all.map((commit) => must(store, commit)));
      assert.equal((await store.list("beside/")).items.length, 230);
    });

    test("what is just within the limits is stored", async () => {
      const key = `limit/${"x".repeat(storeLimits.keyBytes - 6)}`;
      await must(store, { ...nothing, puts: [{ key, value: new Uint8Array(storeLimits.commitBytes - key.length) }] });
      const puts = Array.from({ length: 128 }, (_, i) => put(`limit/${i}`).puts).flat();
      const conditions = puts.map((p) => ({ key: p.key, revision: 0n }));
      await must(store, { ...nothing, conditions, puts });
      assert.equal((await store.list("limit/")).items.length, 129);
    });

    test("the history has an id that stays", async () => {
      const id = await store.history();
      assert.match(id, /^[0-9a-f-]{36}$/);
      await must(store, put("history/a"));
      assert.equal(await store.history(), id);
    });

    test("a closed store ends its watches and does nothing more", async () => {
      const closing = await subject.open();
      const at = (await closing.list("")).revision;
      const watching = take(closing, "", at, 1);
      await closing.close();
      assert.deepEqual(await watching, []);
      await assert.rejects(closing.read("a"), StoreUnavailable);
      await assert.rejects(closing.commit(put("a")), StoreUnavailable);
      await closing.close();
    });
  });
}
