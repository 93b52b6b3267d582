// Answers to calls with a key: put into the very transaction that carries the call out, so that both are stored or neither is.
import { create, type DescMethod, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type ContextKey, createContextKey, type HandlerContext } from "@connectrpc/connect";
import { type KeptAnswer, KeptAnswerSchema } from "#gen/holdfast/state/v1/answer_pb.ts";
import type { LocalAnswer } from "#gen/holdfast/state/v1/budget_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import { bug } from "#lib/bug.ts";
import type { Clock } from "#lib/clock.ts";
import { Refusal } from "#lib/refusal.ts";
import { answeredMeanwhile, isKept, keptMs } from "#lib/rpc/idempotency-key.ts";
import { methodName } from "../access/rule.ts";
import type { Identity } from "../identity/identity.ts";
import type { Fold } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { answersSecret } from "./methods.ts";

/** Bytes of answers kept at one time, counted by `answerBytes`. When they are full, keys are refused: none is forgotten early. */
export const keptBytesMax = { ofOneCaller: 8_000_000, inAll: 64_000_000 } as const;

/** A call that came with a key. */
export interface KeyedCall {
  readonly id: string;
  readonly user: string;
  readonly method: string;
  readonly requestDigest: Uint8Array;
  readonly clock: Clock;
  /** As it came. */
  readonly key: string;
  readonly seals: Identity["seals"];
}

export const keyedCallKey: ContextKey<KeyedCall | undefined> = createContextKey<KeyedCall | undefined>(undefined, {
  description: "the call, if it came with an idempotency key",
});

type Context = Pick<HandlerContext, "values" | "method">;
/** Fields of the method's response message. */
type Answer = Readonly<Record<string, unknown>>;

/**
 * To be called in the transaction of every method that takes a key, with the answer that the method will give. Without a key it does
 * nothing.
 * @throws Refusal "conflict" when the same call was carried out meanwhile; `once` knows its answer
 */
export function keepAnswer({ values, method }: Context, tx: Tx, answer: Answer): void {
  if (answersSecret(method)) bug(`the answer of ${method.name} holds a secret, and is to be sealed`);
  const call = values.get(keyedCallKey);
  if (call !== undefined) keep(call, tx, { answer: bytesOf(method, answer) });
}

/**
 * As `keepAnswer`, for answers with a secret: only who comes with the same key can have it opened.
 * @returns what is to be called in the transaction
 */
export async function sealedAnswer({ values, method }: Context, answer: Answer): Promise<(tx: Tx) => void> {
  const call = values.get(keyedCallKey);
  if (call === undefined) return () => undefined;
  const content = { answer: base64Encode(bytesOf(method, answer)) };
  const sealed = await call.seals.seal(purpose, content, keptMs + slackMs, call.key);
  return (tx) => keep(call, tx, { sealedAnswer: sealed });
}

/** The response message. @param key that the call came with */
export async function answerIn(
  { answer, sealedAnswer: sealed }: KeptAnswer,
  method: DescMethod,
  { seals, key }: Pick<KeyedCall, "seals" | "key">,
): Promise<Message> {
  if (sealed === "") return fromBinary(method.output, answer);
  const opened = (await seals.open(purpose, sealed, key)) as { readonly answer: string }; // as it was sealed, or it does not open
  return fromBinary(method.output, base64Decode(opened.answer));
}

const purpose = "answer to an idempotency key";
/** A seal's end has whole seconds, and another central's clock. */
const slackMs = 60_000;

const bytesOf = ({ output }: DescMethod, answer: Answer): Uint8Array =>
  toBinary(output, create(output, answer) as Message);

function keep(
  call: KeyedCall,
  tx: Tx,
  answer: { readonly answer: Uint8Array } | { readonly sealedAnswer: string },
): void {
  const { id, user, method, requestDigest, clock } = call;
  const before = tx.get(kinds.keptAnswer, id);
  if (before !== undefined && isKept(before, clock.wallMs())) {
    throw answeredMeanwhile();
  }
  const answeredAt = timestampFromMs(clock.wallMs());
  const kept = create(KeptAnswerSchema, { user, method, requestDigest, answeredAt, ...answer });
  tx.put(kinds.keptAnswer, id, kept, { ttlMs: keptMs });
  const lack = lackOfRoom(tx, user);
  if (lack !== undefined) throw new Refusal("exhausted", lack, { reason: "IDEMPOTENCY_KEYS_FULL" });
}

/** What a partition answered while it gave something away by itself: sent again to central, the call gets the same answer. */
export function keepReported(tx: Tx, { id, answer }: LocalAnswer, nowMs: number): void {
  if (!answer?.answeredAt || !isKept(answer, nowMs) || !answeredAway.includes(answer.method)) return;
  const before = tx.get(kinds.keptAnswer, id);
  if (before !== undefined && isKept(before, nowMs)) return;
  const ttlMs = Math.min(keptMs, timestampMs(answer.answeredAt) + keptMs - nowMs);
  tx.put(kinds.keptAnswer, id, answer, { ttlMs });
  // What was given away is adopted all the same.
  if (lackOfRoom(tx, answer.user) !== undefined) tx.delete(kinds.keptAnswer, id);
}

const answeredAway = [MachineService, IPService, NetworkService].map(({ method }) => methodName(method.create));

/** What one answer counts: itself, and all else of its row at a flat rate. */
const answerBytes = ({ answer, sealedAnswer: sealed }: KeptAnswer): number => answer.length + sealed.length + 512;

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

function lackOfRoom(tx: Tx, user: string): string | undefined {
  const { ofOneCaller, inAll } = keptBytesMax;
  const own = tx.folded(bytesKept, groupOf(user));
  const all = tx.folded(bytesKept, everybody);
  if (own <= ofOneCaller && all <= inAll) return undefined;
  const [bytes, limit, whose] = own > ofOneCaller ? [own, ofOneCaller, `of ${user}`] : [all, inAll, "of all callers"];
  return `answers to idempotency keys ${whose} would take ${bytes} bytes of ${limit}: they are kept for 24 hours; call without a key`;
}
