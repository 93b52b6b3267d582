import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { anyTime, CentralTime, hear, spanAt } from "./central-time.ts";

const moment = (monotonicMs: number, skewMs = 0) => ({ monotonicMs, wallMs: monotonicMs + skewMs });
/** Central's clock shows 1,000,000 when the agent's monotonic one shows 0. */
const trueMs = (monotonicMs: number) => 1_000_000 + monotonicMs;

test("central's clock is between what it said and that with all that has passed since it was asked, whatever the agent's shows", () => {
  for (const skewMs of [0, 600_000, -600_000]) {
    const heard = hear(undefined, trueMs(150), moment(100, skewMs), moment(300, skewMs));
    const span = spanAt(heard, moment(300, skewMs));
    assert.deepEqual([span.earliestMs, span.latestMs], [1_000_150, 1_000_350 + 0.1]);
  }
});

test("what was heard long ago is known less well, and an answer that came at once is better than one that took long", () => {
  const heard = hear(undefined, trueMs(0), moment(0), moment(0));
  const later = spanAt(heard, moment(3_600_000));
  assert.deepEqual(later, { earliestMs: trueMs(3_600_000) - 1_800, latestMs: trueMs(3_600_000) + 1_800 });
  const slow = hear(heard, trueMs(3_590_000), moment(3_580_000), moment(3_600_000));
  assert.deepEqual([slow.earliestMs, slow.latestMs], [later.earliestMs, later.latestMs]);
  const quick = hear(slow, trueMs(3_600_000), moment(3_600_000), moment(3_600_010));
  assert.ok(quick.latestMs - quick.earliestMs < 11);
});

test("an agent's clock that is set ahead leaves two possibilities until central says the time again; one that is set back does not", () => {
  const heard = hear(undefined, trueMs(0), moment(0), moment(0));
  const ahead = spanAt(heard, moment(1_000, 600_000));
  assert.ok(ahead.earliestMs <= trueMs(1_000) && ahead.latestMs >= trueMs(601_000), "it may have stood still so long");
  const again = hear(heard, trueMs(2_000), moment(2_000, 600_000), moment(2_000, 600_000));
  assert.deepEqual([again.earliestMs, again.latestMs], [trueMs(2_000), trueMs(2_000)]);
  const back = spanAt(heard, moment(1_000, -600_000));
  assert.ok(back.latestMs - back.earliestMs < 2);
});

test("a central whose clock is set is believed at once", () => {
  const heard = hear(undefined, trueMs(0), moment(0), moment(0));
  const set = hear(heard, trueMs(-300_000), moment(1_000), moment(1_020));
  assert.deepEqual([set.earliestMs, set.latestMs], [trueMs(-300_000), trueMs(-300_000) + 20.01]);
});

test("who waits for the time hears when it is known, and when it is known better, not at every word", () => {
  const clock = new VirtualClock();
  let told = 0;
  const time = new CentralTime(clock, () => void told++);
  assert.equal(time.span, anyTime);
  time.said(undefined, time.moment);
  assert.equal(told, 0, "an older central does not say it");
  const asked = time.moment;
  clock.advance(5_000);
  for (let i = 0; i < 3; i++) time.said(clock.wallMs(), asked);
  assert.equal(told, 1);
  time.said(clock.wallMs(), time.moment);
  assert.equal(told, 2);
});
