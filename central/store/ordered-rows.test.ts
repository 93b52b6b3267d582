import assert from "node:assert/strict";
import { test } from "node:test";
import { Seeded } from "#lib/seeded.ts";
import { OrderedRows } from "./ordered-rows.ts";

interface Row {
  readonly id: string;
  readonly value: number;
}

test("rows are in id order after any changes, as if they had been sorted anew", () => {
  const random = new Seeded(5);
  const rows = new OrderedRows<Row>();
  const model = new Map<string, Row>();
  for (let round = 0; round < 400; round++) {
    // Few changes are worked in, many are sorted.
    for (let n = random.between(0, random.chance(0.2) ? 200 : 8); n > 0; n--) {
      const row = { id: `id-${random.between(0, 120)}`, value: n };
      if (random.chance(0.4)) {
        rows.delete(row.id);
        model.delete(row.id);
      } else {
        rows.set(row);
        model.set(row.id, row);
      }
    }
    if (random.chance(0.02)) {
      rows.clear();
      model.clear();
    }
    const expected = [...model.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    assert.deepEqual(rows.inOrder(), expected);
    assert.equal(rows.size, model.size);
  }
});

test("what was handed out does not change, and is handed out again while nothing has", () => {
  const rows = new OrderedRows<Row>();
  for (const id of ["b", "a"]) rows.set({ id, value: 0 });
  const before = rows.inOrder();
  assert.equal(rows.inOrder(), before);
  rows.set({ id: "aa", value: 1 });
  rows.delete("b");
  assert.deepEqual(
    before.map((r) => r.id),
    ["a", "b"],
  );
  assert.deepEqual(
    rows.inOrder().map((r) => r.id),
    ["a", "aa"],
  );
  rows.delete("gone");
  assert.equal(rows.inOrder(), rows.inOrder());
});
