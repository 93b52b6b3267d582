import { hex } from "#lib/bytes.ts";
import { sha256 } from "#lib/message-digest.ts";
import { Refusal } from "#lib/refusal.ts";

/** Header of a request: who sends it again with the same key gets the same answer, and nothing is made twice. */
export const keyHeader = "idempotency-key";

/** Characters of a key. */
const keyMax = 128;

/** @throws Refusal "invalid" */
export function checkedKey(text: string): string {
  if (/^[\x21-\x7e]+$/.test(text) && text.length <= keyMax) return text;
  throw new Refusal("invalid", `${keyHeader} wants 1 to ${keyMax} visible ASCII characters, and has ${text.length}`, {
    reason: "IDEMPOTENCY_KEY_INVALID",
  });
}

/** Where the answer to a call is kept: the same key of another user or of another method is another one. */
export const answerId = async (user: string, method: string, key: string): Promise<string> =>
  hex(await sha256(JSON.stringify([user, method, key])));
