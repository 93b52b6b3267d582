import assert from "node:assert/strict";
import { test } from "node:test";
import { firstIndex } from "./first-index.ts";

test("the first item from which on it holds is found, at every length and place", () => {
  for (let length = 0; length < 20; length++) {
    const items = Array.from({ length }, (_, i) => i);
    for (let first = 0; first <= length; first++)
      assert.equal(
        firstIndex(items, (item) => item >= first),
        first,
        `${first} of ${length}`,
      );
  }
});
