import { type DescMethod, fromBinary, type Message } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { KeptAnswer } from "#gen/holdfast/state/v1/answer_pb.ts";
import { bug } from "#lib/bug.ts";
import type { Clock } from "#lib/clock.ts";
import { messageDigest } from "#lib/message-digest.ts";
import { Refusal } from "#lib/refusal.ts";
import { callerOf } from "../access/caller.ts";
import { methodName } from "../access/rule.ts";
import type { Around, Handler } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { bytesKept, isLive, keyedCallKey } from "./kept-answers.ts";
import { answerId, checkedKey, keyHeader } from "./key.ts";
import { keyUse } from "./methods.ts";

/** Header of an answer that was given before. */
export const replayedHeader = "idempotent-replayed";

/**
 * Around every handler: the same key, caller, method and request get the same answer for 24 hours, whatever central of the store they
 * reach. The answer is stored by the handler's own transaction, see `keepAnswer`; refusals are not kept. It is asked when access and
 * validation have let the call through.
 */
export function once(ports: { readonly state: State; readonly clock: Clock }): Around {
  ports.state.fold(bytesKept);
  return (method, handler) => {
    const isTaken = keyUse(method) === "taken";
    return (request, context) => {
      const given = context.requestHeader.get(keyHeader);
      if (given === null) return handler(request, context);
      if (!isTaken) throw notTaken(method);
      return keyed(ports, handler, { key: checkedKey(given), request: request as Message, context }); // taken methods are unary
    };
  };
}

interface Keyed {
  readonly key: string;
  readonly request: Message;
  readonly context: HandlerContext;
}

async function keyed(
  { state, clock }: { readonly state: State; readonly clock: Clock },
  handler: Handler,
  { key, request, context }: Keyed,
): Promise<unknown> {
  const { user } = callerOf(context);
  const method = methodName(context.method);
  const id = await answerId(user, method, key);
  const digest = await messageDigest(context.method.input, request);
  const known = (): KeptAnswer | undefined => {
    const kept = state.get(kinds.keptAnswer, id)?.value;
    return kept && isLive(kept, clock.wallMs()) ? kept : undefined;
  };
  const before = known();
  if (before) return replay(before, digest, context);
  context.values.set(keyedCallKey, { id, user, method, requestDigest: digest, clock });
  try {
    const answer = await handler(request, context);
    if (state.get(kinds.keptAnswer, id) === undefined) bug(`${method} has not kept its answer`);
    return answer;
  } catch (error) {
    // Who lost to the same call is refused for what that call has made. Its answer came into the cache together with that.
    const meanwhile = known();
    if (meanwhile === undefined) throw error;
    return replay(meanwhile, digest, context);
  }
}

function replay(kept: KeptAnswer, digest: Uint8Array, { method, responseHeader }: HandlerContext): Message {
  if (kept.requestDigest.length !== digest.length || kept.requestDigest.some((byte, i) => byte !== digest[i])) {
    throw new Refusal("exists", `this ${keyHeader} was used for another request of ${kept.method}: take a new one`, {
      reason: "IDEMPOTENCY_KEY_REUSED",
    });
  }
  responseHeader.set(replayedHeader, "true");
  return fromBinary(method.output, kept.answer);
}

/** Ignored, a key would be relied upon in vain. */
function notTaken(method: DescMethod): Refusal {
  const why =
    keyUse(method) === "secret"
      ? "answers with a secret that is stored nowhere, so it cannot answer twice"
      : "makes nothing anew";
  return new Refusal("invalid", `${method.name} takes no ${keyHeader}: it ${why}`, {
    reason: "IDEMPOTENCY_KEY_NOT_TAKEN",
  });
}
