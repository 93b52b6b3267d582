import assert from "node:assert/strict";
import { test } from "node:test";
import { withDeadline } from "./deadline.ts";
import { VirtualClock } from "./virtual-clock.ts";

const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));

test("work that takes too long is told to stop, and the error names it and the limit", async () => {
  const clock = new VirtualClock();
  const work = withDeadline(clock, 500, "report to central", new AbortController().signal, untilAborted);
  clock.advance(500);
  await assert.rejects(work, /^Error: report to central took longer than 500 ms$/);
});

test("work that ends in time leaves no timer behind", async () => {
  const clock = new VirtualClock();
  assert.equal(await withDeadline(clock, 500, "work", new AbortController().signal, async () => 7), 7);
  assert.equal(clock.nextMs, undefined);
});

test("when the caller gives up, its own reason comes back, not the deadline's", async () => {
  const stop = new AbortController();
  const clock = new VirtualClock();
  const work = withDeadline(clock, 500, "work", stop.signal, untilAborted);
  stop.abort(new Error("stopping"));
  await assert.rejects(work, /^Error: stopping$/);
  assert.equal(clock.nextMs, undefined);
});

test("work under a signal that has aborted already is given an aborted signal", async () => {
  const stop = AbortSignal.abort(new Error("stopping"));
  const work = withDeadline(new VirtualClock(), 500, "work", stop, async (signal) => signal.throwIfAborted());
  await assert.rejects(work, /stopping/);
});

test("an error of the work itself goes through", async () => {
  const work = withDeadline(new VirtualClock(), 500, "work", new AbortController().signal, async () => {
    throw new Error("central said no");
  });
  await assert.rejects(work, /central said no/);
});
