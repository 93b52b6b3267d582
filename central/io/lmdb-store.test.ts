// What the embedded store promises beyond central/store/conformance.test.ts.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { ownMark, runningPid } from "#lib/io/process-mark.ts";
import { systemRandom } from "#lib/io/system-random.ts";
import { cannotMount, SmallFilesystem } from "#lib/io/testing/small-filesystem.ts";
import { silentLog } from "#lib/log.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { Compacted, type Store, StoreUnavailable } from "../store/store.ts";
import { LmdbStore } from "./lmdb-store.ts";

const root = mkdtempSync(path.join(tmpdir(), "holdfast-lmdb-"));
after(() => rmSync(root, { recursive: true }));
let folders = 0;
const newFolder = () => path.join(root, String(folders++));
const open = (folder: string, clock = new VirtualClock(), keep = 100_000) =>
  new LmdbStore({ clock, random: systemRandom, log: silentLog }, { folder, keep });

const put = (store: Store, key: string, ttlMs?: number) => {
  const value = new TextEncoder().encode(key);
  return store.commit({
    conditions: [],
    puts: [ttlMs === undefined ? { key, value } : { key, value, ttlMs }],
    deletes: [],
  });
};

async function firstRevision(store: Store, from: bigint): Promise<bigint> {
  for await (const batch of store.watch({ prefix: "", after: from }, new AbortController().signal))
    return batch.revision;
  throw new Error("the watch ended");
}

test("a store that is opened again has its items, its history and its revisions, and watches resume", async () => {
  const folder = newFolder();
  const first = open(folder);
  const history = await first.history();
  for (const key of ["a", "b", "c"]) await put(first, key);
  const listing = await first.list("");
  await first.close();
  const second = open(folder);
  assert.equal(await second.history(), history);
  assert.deepEqual(await second.list(""), listing);
  assert.equal(await firstRevision(second, 1n), 2n);
  assert.deepEqual(await put(second, "d"), { ok: true, revision: 4n });
  await second.close();
});

test("a folder that was copied, as a backup is put back, has the same items and another history", async () => {
  const folder = newFolder();
  const first = open(folder);
  await put(first, "a");
  const [history, listing] = [await first.history(), await first.list("")];
  await first.close();
  const copy = newFolder();
  cpSync(folder, copy, { recursive: true });
  const restored = open(copy);
  const now = await restored.history();
  assert.notEqual(now, history);
  assert.deepEqual(await restored.list(""), listing);
  await restored.close();
  const again = open(copy);
  assert.equal(await again.history(), now, "and keeps it");
  await again.close();
});

test("a file that was overwritten in place by an older copy of itself has another history, whether the store was closed or killed", async () => {
  for (const end of ["closed", "killed"] as const) {
    const folder = newFolder();
    const file = path.join(folder, "data.mdb");
    const clock = new VirtualClock();
    const first = open(folder);
    await put(first, "a");
    const history = await first.history();
    await first.close();
    const backup = readFileSync(file);
    const second = open(folder, clock);
    assert.equal(await second.history(), history, "nothing was set back");
    for (const key of ["b", "c"]) await put(second, key);
    // What a killed process would have left: the mark was written a second after the commits, and by nobody at its end.
    clock.advance(1_000);
    await new Promise(setImmediate);
    const mark = readFileSync(path.join(folder, "high-water"));
    await second.close();
    if (end === "killed") writeFileSync(path.join(folder, "high-water"), mark);
    const inode = statSync(file).ino;
    writeFileSync(file, backup);
    assert.equal(statSync(file).ino, inode);
    const third = open(folder);
    const now = await third.history();
    assert.notEqual(now, history, end);
    assert.equal((await third.list("")).items.length, 1);
    await third.close();
    const fourth = open(folder);
    assert.equal(await fourth.history(), now, "and keeps it");
    await fourth.close();
  }
});

test("a time to live runs on while the store is closed", async () => {
  const folder = newFolder();
  const clock = new VirtualClock();
  const first = open(folder, clock);
  await put(first, "brief", 10_000);
  await put(first, "long", 100_000);
  await first.close();
  clock.advance(50_000);
  const second = open(folder, clock);
  clock.advance(1);
  await firstRevision(second, 2n);
  assert.deepEqual(
    (await second.list("")).items.map((i) => i.key),
    ["long"],
  );
  await second.close();
});

test("the log keeps as many revisions as it is told to, also over restarts", async () => {
  const folder = newFolder();
  const first = open(folder);
  for (let i = 0; i < 20; i++) await put(first, "a");
  await first.close();
  const second = open(folder, new VirtualClock(), 5);
  for (let i = 0; i < 10; i++) await put(second, "a");
  assert.equal(await firstRevision(second, 25n), 26n);
  await assert.rejects(firstRevision(second, 24n), (error) => error instanceof Compacted && error.oldest === 25n);
  await second.close();
});

test("the folder is only for its owner", async () => {
  const folder = newFolder();
  await open(folder).close();
  assert.equal(statSync(folder).mode & 0o777, 0o700);
});

test("a mark names a process that runs, and neither one that has ended nor another with its pid", async () => {
  assert.equal(runningPid(ownMark()), process.pid);
  const [boot, pid] = ownMark().split("/");
  assert.equal(runningPid(`${boot}/${pid}/1`), undefined);
  assert.equal(runningPid(`earlier-boot/${ownMark().split("/").slice(1).join("/")}`), undefined);
  const child = spawn("true");
  await once(child, "exit");
  assert.equal(runningPid(`${boot}/${child.pid}/1`), undefined);
  assert.equal(runningPid("nonsense"), undefined);
});

test("a second process on the same folder is refused by name", async () => {
  const folder = newFolder();
  const store = open(folder);
  const child = writer(folder);
  let said = "";
  child.stderr?.on("data", (text) => {
    said += text;
  });
  const [code] = await once(child, "close");
  assert.equal(code, 1);
  assert.match(said, new RegExp(`the embedded store in ${folder} is in use by process ${process.pid}`));
  assert.throws(() => open(folder), StoreUnavailable, "not even by this process");
  await put(store, "still works");
  await store.close();
});

test("kill -9 in the middle of commits loses none that was acknowledged, and the next process takes over", async () => {
  const folder = newFolder();
  const acknowledged: string[] = [];
  const child = writer(folder);
  const closed = once(child, "close");
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (acknowledged.push(line) === 200) child.kill("SIGKILL");
  }
  // Its last output can be read before it has died.
  await closed;
  const store = open(folder);
  const { items, revision } = await store.list("");
  const held = new Set(items.map((i) => `${i.key} ${i.revision}`));
  assert.deepEqual(
    acknowledged.filter((line) => !held.has(line)),
    [],
  );
  assert.ok(acknowledged.length >= 200);
  assert.equal(BigInt(items.length), revision, "every commit was whole");
  assert.equal(await firstRevision(store, revision - 1n), revision, "and is in the log");
  await store.close();
});

function writer(folder: string): ChildProcess {
  const main = path.join(import.meta.dirname, "testing/lmdb-writer-main.ts");
  return spawn(process.execPath, ["--import", "tsx", main, folder], { stdio: ["ignore", "pipe", "pipe"] });
}

test("on a full disk commits are refused as unavailable, reads go on, and with room again the next revision lasts", {
  skip: cannotMount(),
}, async () => {
  const small = new SmallFilesystem(32);
  const folder = path.join(small.folder, "store");
  const store = open(folder);
  await put(store, "a");
  const before = await store.list("");
  small.fill();
  const large = (key: string) =>
    store.commit({ conditions: [], puts: [{ key, value: new Uint8Array(1_000_000) }], deletes: ["a"] });
  const outcomes = await Promise.allSettled(["b", "c", "d", "e", "f"].map(large));
  const refused = outcomes.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
  assert(refused.length > 1);
  for (const { reason } of refused) {
    assert(reason instanceof StoreUnavailable);
    assert.match(
      reason.message,
      /^the embedded store failed: .*data\.mdb cannot be written: ENOSPC: no space left on device/,
    );
  }
  const full = await store.list("");
  assert.equal(full.revision, before.revision + BigInt(5 - refused.length));
  small.clear();
  assert.deepEqual(await large("z"), { ok: true, revision: full.revision + 1n });
  const listing = await store.list("");
  await store.close();
  const again = open(folder);
  assert.deepEqual(await again.list(""), listing);
  await again.close();
  small.remove();
});
