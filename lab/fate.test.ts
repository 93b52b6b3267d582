import assert from "node:assert/strict";
import { test } from "node:test";
import { fates } from "./fate.ts";

const victims = ["agent", "central", "etcd2"];

test("every victim dies once, one after the other, and all are up again before the cut ends", () => {
  for (let seed = 0; seed < 200; seed++) {
    const planned = fates(seed, victims, 120_000);
    assert.deepEqual(planned.map((f) => f.victim).toSorted(), victims);
    planned.forEach((fate, i) => {
      assert(fate.diesMs >= (planned[i - 1]?.risesMs ?? 10_000), `seed ${seed}: ${JSON.stringify(planned)}`);
      assert(fate.risesMs > fate.diesMs && fate.risesMs <= 110_000, `seed ${seed}: ${JSON.stringify(planned)}`);
    });
  }
});

test("a seed decides who dies when, and seeds differ", () => {
  assert.deepEqual(fates(7, victims, 120_000), fates(7, victims, 120_000));
  const orders = new Set(
    Array.from({ length: 50 }, (_, seed) =>
      fates(seed, victims, 120_000)
        .map((f) => f.victim)
        .join(),
    ),
  );
  assert.equal(orders.size, 6);
});
