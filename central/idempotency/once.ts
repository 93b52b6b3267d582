import type { Message } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { KeptAnswer } from "#gen/holdfast/state/v1/answer_pb.ts";
import { bug } from "#lib/bug.ts";
import type { Clock } from "#lib/clock.ts";
import { askedDigest } from "#lib/rpc/asked-digest.ts";
import {
  answerId,
  checkedKey,
  checkSameRequest,
  isKept,
  keyHeader,
  keyNotTaken,
  replayedHeader,
} from "#lib/rpc/idempotency-key.ts";
import { callerOf } from "../access/caller.ts";
import { methodName } from "../access/rule.ts";
import type { Identity } from "../identity/identity.ts";
import type { Around, Handler } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { answerIn, bytesKept, type KeyedCall, keyedCallKey } from "./kept-answers.ts";
import { takesKey } from "./methods.ts";

interface Ports {
  readonly state: State;
  readonly clock: Clock;
  readonly identity: Pick<Identity, "seals">;
}

/**
 * Around every handler: the same key, caller, method and request get the same answer for 24 hours, whatever central of the store they
 * reach. The answer is stored by the handler's own transaction, see `keepAnswer`; refusals are not kept. It is asked when access and
 * validation have let the call through.
 */
export function once(ports: Ports): Around {
  ports.state.fold(bytesKept);
  return (method, handler) => {
    const isTaken = takesKey(method);
    return (request, context) => {
      const given = context.requestHeader.get(keyHeader);
      if (given === null) return handler(request, context);
      if (!isTaken) throw keyNotTaken(method);
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
  { state, clock, identity: { seals } }: Ports,
  handler: Handler,
  { key, request, context }: Keyed,
): Promise<unknown> {
  const { user } = callerOf(context);
  const method = methodName(context.method);
  const id = await answerId(user, method, key);
  const requestDigest = await askedDigest(context, request);
  const call: KeyedCall = { id, user, method, requestDigest, clock, key, seals };
  const known = (): KeptAnswer | undefined => {
    const kept = state.get(kinds.keptAnswer, id)?.value;
    return kept && isKept(kept, clock.wallMs()) ? kept : undefined;
  };
  const before = known();
  if (before) return replay(before, call, context);
  context.values.set(keyedCallKey, call);
  try {
    const answer = await handler(request, context);
    if (state.get(kinds.keptAnswer, id) === undefined) bug(`${method} has not kept its answer`);
    return answer;
  } catch (error) {
    // Who lost to the same call is refused for what that call has made. Its answer came into the cache together with that.
    const meanwhile = known();
    if (meanwhile === undefined) throw error;
    return replay(meanwhile, call, context);
  }
}

function replay(kept: KeptAnswer, call: KeyedCall, { method, responseHeader }: HandlerContext): Promise<Message> {
  checkSameRequest(kept, call.requestDigest);
  responseHeader.set(replayedHeader, "true");
  return answerIn(kept, method, call);
}
