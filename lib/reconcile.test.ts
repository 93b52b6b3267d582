import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { silentLog } from "./log.ts";
import { type Outcome, Reconciler, type ReconcilerPorts, settled, wait } from "./reconcile.ts";
import { VirtualClock } from "./virtual-clock.ts";

const settle = async () => {
  for (let i = 0; i < 10; i++) await turn();
};

/** A reconciler whose runs are ended by the test. */
function bench(change: Partial<ReconcilerPorts> = {}) {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const runs: { key: string; end: (outcome: Outcome) => void; fail: (error: unknown) => void }[] = [];
  const failures: { key: string; retryAfterMs: number }[] = [];
  const reconciler = new Reconciler(
    {
      name: "test",
      reconcile: (key) => new Promise((end, fail) => runs.push({ key, end, fail })),
      failed: (key, _error, retryAfterMs) => void failures.push({ key, retryAfterMs }),
      concurrency: 2,
      clock,
      random: { bytes: (count) => new Uint8Array(count), below: () => 0, uuid: () => "" },
      log: silentLog,
      ...change,
    },
    stop.signal,
  );
  const advance = async (ms: number) => {
    clock.advance(ms);
    await settle();
  };
  return { clock, stop, runs, failures, reconciler, advance };
}

test("asking for a key again and again while it is queued or running gives one run more", async () => {
  const { runs, reconciler } = bench();
  for (let i = 0; i < 5; i++) reconciler.enqueue("a");
  assert.equal(runs.length, 1);
  for (let i = 0; i < 5; i++) reconciler.enqueue("a");
  runs[0]?.end(settled);
  await settle();
  assert.equal(runs.length, 2);
  runs[1]?.end(settled);
  await settle();
  assert.equal(runs.length, 2);
});

test("keys run beside each other, up to the concurrency, and one key never beside itself", async () => {
  const { runs, reconciler } = bench();
  for (const key of ["a", "b", "c", "a", "b"]) reconciler.enqueue(key);
  assert.deepEqual(
    runs.map((r) => r.key),
    ["a", "b"],
  );
  runs[1]?.end(settled);
  await settle();
  assert.deepEqual(
    runs.map((r) => r.key),
    ["a", "b", "c"],
  );
});

test("a wait is rechecked when it said, and news comes before that", async () => {
  const { runs, reconciler, advance } = bench();
  reconciler.enqueue("a");
  runs[0]?.end(wait("the firmware", 5000));
  await settle();
  await advance(4999);
  assert.equal(runs.length, 1);
  await advance(1);
  assert.equal(runs.length, 2);
  runs[1]?.end(wait("the firmware", 5000));
  await settle();
  reconciler.enqueue("a");
  assert.equal(runs.length, 3);
  runs[2]?.end(settled);
  await settle();
  await advance(60_000);
  assert.equal(runs.length, 3, "the recheck that was overtaken is forgotten");
});

test("a failing key is tried again with a pause that doubles up to a minute, with jitter", async () => {
  const { runs, failures, reconciler, advance } = bench();
  reconciler.enqueue("a");
  for (let i = 0; i < 9; i++) {
    runs.at(-1)?.fail(new Error("the BMC does not answer"));
    await settle();
    await advance(failures.at(-1)?.retryAfterMs ?? 0);
  }
  assert.deepEqual(
    failures.map((f) => f.retryAfterMs),
    [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000],
  );
  assert.equal(runs.length, 10);
  const half = bench({ random: { bytes: (n) => new Uint8Array(n), below: (bound) => bound - 1, uuid: () => "" } });
  half.reconciler.enqueue("a");
  half.runs[0]?.fail(new Error("no"));
  await settle();
  assert.equal(half.failures[0]?.retryAfterMs, 999);
});

test("a success ends the back-off", async () => {
  const { runs, failures, reconciler, advance } = bench();
  reconciler.enqueue("a");
  for (const _ of [1, 2, 3]) {
    runs.at(-1)?.fail(new Error("no"));
    await settle();
    await advance(failures.at(-1)?.retryAfterMs ?? 0);
  }
  runs.at(-1)?.end(settled);
  await settle();
  reconciler.enqueue("a");
  runs.at(-1)?.fail(new Error("no"));
  await settle();
  assert.equal(failures.at(-1)?.retryAfterMs, 500);
});

test("a failure whose report is itself news does not spin", async () => {
  const { clock, runs, reconciler, advance } = bench({ failed: (key) => reconciler.enqueue(key) });
  reconciler.enqueue("a");
  for (let i = 0; i < 20; i++) {
    runs.at(-1)?.fail(new Error(`took ${i} ms`));
    await settle();
  }
  assert.equal(runs.length, 1);
  await advance(500);
  assert.equal(runs.length, 2);
  assert.equal(clock.monotonicMs(), 500);
});

test("a failure that goes on is tried less and less, however much news it makes", async () => {
  const { runs, reconciler, advance } = bench({ failed: (key) => reconciler.enqueue(key) });
  reconciler.enqueue("a");
  for (let second = 0; second < 120; second++) {
    runs.at(-1)?.fail(new Error("the BMC refused"));
    await settle();
    await advance(1_000);
  }
  assert.ok(runs.length < 20, `${runs.length} runs within 2 minutes`);
});

test("news for a key that backs off brings its next try forward", async () => {
  const { runs, failures, reconciler, advance } = bench();
  reconciler.enqueue("a");
  for (let i = 0; i < 8; i++) {
    runs.at(-1)?.fail(new Error("no"));
    await settle();
    await advance(failures.at(-1)?.retryAfterMs ?? 0);
  }
  runs.at(-1)?.fail(new Error("no"));
  await settle();
  const before = runs.length;
  reconciler.enqueue("a");
  await advance(9_999);
  assert.equal(runs.length, before);
  await advance(1);
  assert.equal(runs.length, before + 1);
});

test("a report of a failure that fails itself stops nothing", async () => {
  const { runs, reconciler, advance } = bench({
    failed: () => {
      throw new Error("the disk is full");
    },
  });
  reconciler.enqueue("a");
  runs[0]?.fail(new Error("no"));
  await settle();
  await advance(1000);
  assert.equal(runs.length, 2);
});

test("after the abort nothing new begins, and the stop waits for what runs", async () => {
  const { clock, stop, runs, reconciler, advance } = bench();
  for (const key of ["a", "b", "c"]) reconciler.enqueue(key);
  stop.abort(new Error("stopping"));
  let stopped = false;
  void reconciler.stopped().then(() => {
    stopped = true;
  });
  runs[0]?.end(wait("more", 10));
  await settle();
  assert.equal(stopped, false);
  runs[1]?.fail(new Error("aborted"));
  await settle();
  assert.equal(stopped, true);
  reconciler.enqueue("d");
  await advance(60_000);
  assert.equal(runs.length, 2);
  assert.equal(clock.nextMs, undefined);
});
