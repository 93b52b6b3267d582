import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { systemClock } from "./system-clock.ts";

test("a sleep that is aborted rejects with the signal's own reason", async () => {
  const stop = new AbortController();
  const asleep = systemClock.sleep(3_600_000, stop.signal);
  const reason = new Error("stopping");
  stop.abort(reason);
  await assert.rejects(asleep, (error) => error === reason);
});

test("a sleep under a signal that has aborted already does not begin", async () => {
  const reason = new Error("stopping");
  await assert.rejects(systemClock.sleep(3_600_000, AbortSignal.abort(reason)), (error) => error === reason);
});

test("a sleep of months does not end at once", async () => {
  const stop = new AbortController();
  let awake = false;
  const asleep = systemClock.sleep(2 ** 32, stop.signal).then(
    () => {
      awake = true;
    },
    () => {},
  );
  for (let i = 0; i < 20; i++) await turn();
  assert.equal(awake, false);
  stop.abort();
  await asleep;
});

test("a sleep of nothing ends in the next turn of the event loop", async () => {
  const order: string[] = [];
  const slept = systemClock.sleep(0).then(() => order.push("slept"));
  await Promise.resolve();
  order.push("this turn");
  await slept;
  assert.deepEqual(order, ["this turn", "slept"]);
});
