import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";

/** For `assert.rejects`: a refusal with that code, whose text fits. */
export const refusedWith = (code: Code, text: RegExp) => (e: unknown) => {
  assert.ok(e instanceof ConnectError, String(e));
  assert.deepEqual([Code[e.code], text.test(e.message)], [Code[code], true], e.message);
  return true;
};
