import assert from "node:assert/strict";
import { test } from "node:test";
import type { Deed } from "./deeds.ts";
import { houseOver } from "./house.ts";
import { sweep } from "./sweep.ts";

/** Some of the awaits, and those around each change of what is left behind: some 15 s of a quiet core. `npm run crash` takes all. */
const extent = { spread: 3, closelyMs: 10_000 };

/** A file has one of these: each starts central ten times. */
export function crashTest(deed: Deed): void {
  test(`${deed.name}: whoever dies at an await leaves it done or not done, and asked again it is done once`, async () => {
    const house = await houseOver({ kind: "embedded" });
    try {
      const { awaits, found } = await sweep(house, deed, extent);
      const states = new Set([...found.values()].map(({ what }) => what));
      assert.ok(awaits > 20 && states.has(deed.before) && states.has(deed.after), [...states].join("; "));
    } finally {
      house.remove();
    }
  });
}
