// The header by which a call that makes something anew can be sent again, wherever it is served.
import type { DescMethod } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { equalBytes, hex } from "../bytes.ts";
import { dayMs } from "../durations.ts";
import { sha256 } from "../message-digest.ts";
import { Refusal } from "../refusal.ts";

/** Header of a request: who sends it again with the same key gets the same answer, and nothing is made twice. */
export const keyHeader = "idempotency-key";

/** Header of an answer that was given before. */
export const replayedHeader = "idempotent-replayed";

/** How long the same key gets the same answer. */
export const keptMs = dayMs;

/** Whether it still is the answer to its key. @param nowMs wall clock */
export const isKept = ({ answeredAt }: { readonly answeredAt?: Timestamp | undefined }, nowMs: number): boolean =>
  answeredAt !== undefined && nowMs < timestampMs(answeredAt) + keptMs;

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

/** @throws Refusal "exists" when the key was used for another request */
export function checkSameRequest(
  kept: { readonly method: string; readonly requestDigest: Uint8Array },
  digest: Uint8Array,
): void {
  if (equalBytes(kept.requestDigest, digest)) return;
  throw new Refusal("exists", `this ${keyHeader} was used for another request of ${kept.method}: take a new one`, {
    reason: "IDEMPOTENCY_KEY_REUSED",
  });
}

/** Ignored, a key would be relied upon in vain. */
export const keyNotTaken = (method: DescMethod): Refusal =>
  new Refusal("invalid", `${method.name} makes nothing anew, and takes no ${keyHeader}`, {
    reason: "IDEMPOTENCY_KEY_NOT_TAKEN",
  });

/** Whoever lost to the same call is refused for what that call has made. */
export const answeredMeanwhile = (): Refusal =>
  new Refusal("conflict", "this call was carried out meanwhile", { reason: "ANSWERED_MEANWHILE" });
