import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesText } from "./bytes.ts";

test("bytes are written in the largest unit that leaves at least one", () => {
  assert.equal(bytesText(0n), "0B");
  assert.equal(bytesText(1023n), "1023B");
  assert.equal(bytesText(1536n), "1.5KiB");
  assert.equal(bytesText(17_179_869_184n), "16.0GiB");
  assert.equal(bytesText(1n << 62n), "4096.0PiB");
});
