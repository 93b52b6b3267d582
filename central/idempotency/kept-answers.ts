// Answers to calls with a key: put into the very transaction that carries the call out, so that both are stored or neither is.
import { create, type Message, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type ContextKey, createContextKey, type HandlerContext } from "@connectrpc/connect";
import { type KeptAnswer, KeptAnswerSchema } from "#gen/holdfast/state/v1/answer_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { dayMs } from "#lib/durations.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Fold } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

/** How long the same key gets the same answer. */
export const keptMs = dayMs;

/** Bytes of answers kept at one time, counted by `answerBytes`. When they are full, keys are refused: none is forgotten early. */
export const keptBytesMax = { ofOneCaller: 8_000_000, inAll: 64_000_000 } as const;

/** A call that came with a key. */
export interface KeyedCall {
  readonly id: string;
  readonly user: string;
  readonly method: string;
  readonly requestDigest: Uint8Array;
  readonly clock: Clock;
}

export const keyedCallKey: ContextKey<KeyedCall | undefined> = createContextKey<KeyedCall | undefined>(undefined, {
  description: "the call, if it came with an idempotency key",
});

/**
 * To be called in the transaction of every method that takes a key, with the answer that the method will give. Without a key it does
 * nothing.
 * @param answer fields of the method's response message
 * @throws Refusal "conflict" when the same call was carried out meanwhile; `once` knows its answer
 */
export function keepAnswer(
  { values, method }: Pick<HandlerContext, "values" | "method">,
  tx: Tx,
  answer: Readonly<Record<string, unknown>>,
): void {
  const call = values.get(keyedCallKey);
  if (call === undefined) return;
  const { id, user, clock, requestDigest } = call;
  const before = tx.get(kinds.keptAnswer, id);
  if (before !== undefined && isLive(before, clock.wallMs())) {
    throw new Refusal("conflict", "this call was carried out meanwhile", { reason: "ANSWERED_MEANWHILE" });
  }
  const kept = create(KeptAnswerSchema, {
    user,
    method: call.method,
    requestDigest,
    answer: toBinary(method.output, create(method.output, answer) as Message),
    answeredAt: timestampFromMs(clock.wallMs()),
  });
  tx.put(kinds.keptAnswer, id, kept, { ttlMs: keptMs });
  checkRoom(tx, user);
}

/** Whether it still is the answer to its key. The store takes it away, but not to the millisecond. @param nowMs wall clock */
export const isLive = ({ answeredAt }: KeptAnswer, nowMs: number): boolean =>
  answeredAt !== undefined && nowMs < timestampMs(answeredAt) + keptMs;

/** What one answer counts: itself, and all else of its row at a flat rate. */
const answerBytes = ({ answer }: KeptAnswer): number => answer.length + 512;

const everybody = "";
const groupOf = (user: string): string => `user ${user}`;

/** Groups: all, and each user. */
export const bytesKept: Fold<typeof kinds.keptAnswer, number, number> = {
  kind: kinds.keptAnswer,
  name: "bytes",
  partsOf: ({ value }) => [everybody, groupOf(value.user)].map((group) => ({ group, part: answerBytes(value) })),
  none: () => 0,
  with: (sum, bytes) => sum + bytes,
  without: (sum, bytes) => sum - bytes,
};

function checkRoom(tx: Tx, user: string): void {
  const { ofOneCaller, inAll } = keptBytesMax;
  const own = tx.folded(bytesKept, groupOf(user));
  const all = tx.folded(bytesKept, everybody);
  if (own <= ofOneCaller && all <= inAll) return;
  const [bytes, limit, whose] = own > ofOneCaller ? [own, ofOneCaller, `of ${user}`] : [all, inAll, "of all callers"];
  const text = `answers to idempotency keys ${whose} would take ${bytes} bytes of ${limit}: they are kept for 24 hours; call without a key`;
  throw new Refusal("exhausted", text, { reason: "IDEMPOTENCY_KEYS_FULL" });
}
