// The same key, caller, method and request get the same answer for a day. The answer is durable in the very write of what was made, and
// goes to central with it, so that the call can be sent again there.
import { create, type DescMethod, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, Interceptor } from "@connectrpc/connect";
import { type KeptAnswer, KeptAnswerSchema } from "#gen/holdfast/state/v1/answer_pb.ts";
import { type LocalAnswer, LocalAnswerSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import { messageDigest } from "#lib/message-digest.ts";
import { Refusal } from "#lib/refusal.ts";
import {
  answeredMeanwhile,
  answerId,
  checkedKey,
  checkSameRequest,
  keyHeader,
  keyNotTaken,
  replayedHeader,
} from "#lib/rpc/idempotency-key.ts";
import { callerOf } from "./caller.ts";
import type { ForPeople } from "./router.ts";

/** Answers that are kept at one time. */
const answersMax = 2_000;

/** What a method answers: fields of its response message. */
type Answer = Readonly<Record<string, unknown>>;

/**
 * To be called right before what was made becomes durable, in the turn of who gives away; undefined without a key.
 * @throws Refusal "conflict" when the same call was carried out meanwhile; `once` knows its answer
 */
export type KeepAnswer = (answer: Answer) => LocalAnswer | undefined;

export async function once<T extends Answer>(
  { site }: ForPeople,
  request: Message,
  context: HandlerContext,
  make: (keep: KeepAnswer) => Promise<T>,
): Promise<T> {
  const given = context.requestHeader.get(keyHeader);
  if (given === null) return await make(() => undefined);
  const { locals, clock } = site;
  const { method } = context;
  const [user, name] = [callerOf(context), `/${method.parent.typeName}/${method.name}`];
  const id = await answerId(user, name, checkedKey(given));
  const requestDigest = await messageDigest(method.input, request);
  const replay = (kept: KeptAnswer): T => {
    checkSameRequest(kept, requestDigest);
    context.responseHeader.set(replayedHeader, "true");
    return fromBinary(method.output, kept.answer) as unknown as T; // it was made as one
  };
  const before = locals.answer(id);
  if (before) return replay(before);
  try {
    return await make((answer) => {
      if (locals.answer(id)) throw answeredMeanwhile();
      if (locals.answers >= answersMax) throw keysFull();
      const answeredAt = timestampFromMs(clock.wallMs());
      const kept = { user, method: name, requestDigest, answeredAt, answer: bytesOf(method, answer) };
      return create(LocalAnswerSchema, { id, answer: create(KeptAnswerSchema, kept) });
    });
  } catch (error) {
    const meanwhile = locals.answer(id);
    if (!meanwhile) throw error;
    return replay(meanwhile);
  }
}

/** Of calls that make nothing. */
export const keysRefused: Interceptor = (next) => async (request) => {
  if (request.header.has(keyHeader) && request.method.name !== "Create") throw keyNotTaken(request.method);
  return await next(request);
};

const bytesOf = ({ output }: DescMethod, answer: Answer): Uint8Array =>
  toBinary(output, create(output, answer) as Message);

const keysFull = () =>
  new Refusal("exhausted", `${answersMax} answers to idempotency keys are kept here for 24 hours: call without a key`, {
    reason: "IDEMPOTENCY_KEYS_FULL",
  });
