import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Rate, takeOne } from "./bucket.ts";
import { Buckets } from "./buckets.ts";

const rate: Rate = { perSecond: 10, burst: 3 };

test("a full bucket gives its burst at once, and then says how long until there is one", () => {
  const buckets = new Buckets(rate, 10);
  const waits = Array.from({ length: 5 }, () => buckets.take("a", 0));
  assert.deepEqual(waits, [0, 0, 0, 100, 100]);
  assert.equal(buckets.take("a", 60), 40);
  assert.equal(buckets.take("a", 100), 0);
  assert.equal(buckets.take("a", 100), 100);
  assert.deepEqual([buckets.take("a", 10_000), buckets.take("a", 10_000)], [0, 0], "it has filled up meanwhile");
  assert.equal(buckets.take("b", 0), 0, "another key has its own");
});

test("a full bucket of one gives it at whatever time", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1e9, noNaN: true }),
      fc.integer({ min: 1, max: 1_000 }),
      (nowMs, perSecond) => {
        assert.ok(takeOne({ perSecond, burst: 1 }, undefined, nowMs).ok);
      },
    ),
  );
});

test("whatever the times, a bucket gives no more than its burst and what came back, and never refuses who waited as told", () => {
  fc.assert(
    fc.property(
      fc.record({ perSecond: fc.integer({ min: 1, max: 1_000 }), burst: fc.integer({ min: 1, max: 100 }) }),
      fc.array(fc.nat({ max: 500 }), { maxLength: 300 }),
      (rate, pauses) => {
        let nowMs = 0;
        let given = 0;
        let fullAtMs: number | undefined;
        for (const pause of pauses) {
          nowMs += pause;
          const taken = takeOne(rate, fullAtMs, nowMs);
          if (taken.ok) {
            fullAtMs = taken.fullAtMs;
            given++;
          } else {
            assert.ok(taken.waitMs <= 1_000 / rate.perSecond + 1e-6);
            assert.ok(takeOne(rate, fullAtMs, nowMs + taken.waitMs + 1e-6).ok);
          }
          assert.ok(given <= rate.burst + (nowMs * rate.perSecond) / 1_000 + 1e-6);
        }
      },
    ),
  );
});

test("buckets remember so many keys and no more, those that were taken from last", () => {
  const buckets = new Buckets({ perSecond: 1, burst: 1 }, 3);
  for (const key of ["a", "b", "c", "a", "d"]) buckets.take(key, 0);
  assert.equal(buckets.size, 3);
  assert.equal(buckets.take("d", 0), 1_000);
  assert.equal(buckets.take("a", 0), 0, "it was forgotten");
});
