import { type DescMessage, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { hex } from "#lib/bytes.ts";
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

/** Of a request, whatever the encoding and the order of maps in which it came: some clients change that from call to call. */
export const requestDigest = (schema: DescMessage, request: Message): Promise<Uint8Array> =>
  sha256(JSON.stringify(inOrder(toJson(schema, request))));

async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

function inOrder(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([name, one]) => [name, inOrder(one)]);
}
