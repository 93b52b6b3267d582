import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Seeded } from "#lib/seeded.ts";
import { type NextSearch, type Search, searcher } from "./search.ts";

/** The searches of so many who ask at the same time. */
async function searches(searching: ReturnType<typeof searcher>, count: number): Promise<readonly Search[]> {
  const begun: Search[] = [];
  const asking = Array.from({ length: count }, () =>
    searching(async (next: NextSearch) => {
      begun.push(next());
      await turn();
    }),
  );
  await Promise.all(asking);
  return begun;
}

test("who asks alone begins at the lowest, all others in the part of their central", async () => {
  const at = 2;
  const searching = searcher(new Seeded(1), { seat: () => ({ at, of: 4 }) });
  const rows = [
    { room: 1_000n, least: 7n, part: 250, start: 0 },
    { room: 4n, least: 1n, part: 1, start: 0 },
    { room: 2n ** 64n, least: 7n, part: 16_384, start: 7 },
  ];
  for (const { room, least, part, start } of rows) {
    const all = (await searches(searching, 30)).map(({ spread }) => spread({ first: 0n, last: room - 1n }, least));
    const [, ...others] = all.map(({ from }) => Number(from) - start);
    assert.equal(all[0]?.from, least);
    for (const n of others) assert.ok(n >= at * part && n < (at + 1) * part, `${n} of ${room}`);
  }
});

test("where there is less room than centrals, each begins anywhere", async () => {
  const [, ...others] = await searches(searcher(new Seeded(1), { seat: () => ({ at: 3, of: 4 }) }), 30);
  const begun = new Set(others.map(({ spread }) => spread({ first: 0n, last: 2n }, 0n).from));
  assert.deepEqual([...begun].sort(), [0n, 1n, 2n]);
});

test("what others are about to take is found by its name and by what it counts for", async () => {
  const [one, other] = await searches(searcher(new Seeded(1)), 2);
  one?.pick("m1", ["rack1"]);
  assert.deepEqual([other?.isPicked("m1"), one?.isPicked("m1")], [true, false]);
  const any = () => true;
  assert.deepEqual([other?.picked("rack1", any), other?.picked("rack2", any)], [["m1"], []]);
  assert.deepEqual(
    other?.picked("rack1", (name) => name !== "m1"),
    [],
  );
});
