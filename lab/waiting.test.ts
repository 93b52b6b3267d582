import assert from "node:assert/strict";
import { test } from "node:test";
import { comesTrue } from "./waiting.ts";

test("what cannot tell of itself is asked until the asking does not throw, or too late with the last reason", async () => {
  let asked = 0;
  const look = async () => {
    if (++asked < 3) throw new Error(`it is ${asked}`);
    return asked;
  };
  assert.equal(await comesTrue("it is three", 60_000, look, { everyMs: 0 }), 3);
  asked = 0;
  await assert.rejects(
    comesTrue("it is three", -1, look, { everyMs: 0 }),
    /^Late: it is three: not within .* now: it is 1$/,
  );
});
