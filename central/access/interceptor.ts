import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { ContextValues, Interceptor } from "@connectrpc/connect";
import { Refusal } from "#lib/refusal.ts";
import { peerKey } from "#lib/rpc/peer.ts";
import type { Call } from "../rate/rate-limit.ts";
import { type Caller, callerKey, stillAllowedKey } from "./caller.ts";
import { decide } from "./decide.ts";
import { methodName, noSubject, type Rule, subjectOf } from "./rule.ts";

export interface Access {
  readonly rules: ReadonlyMap<string, Rule>;
  /** Services without options that anybody may use: health and reflection. */
  readonly open: ReadonlySet<string>;
  /** @throws Refusal "unauthenticated" for a token or a certificate that is no good; undefined without either */
  readonly authenticate: (shown: Shown) => Promise<Caller | undefined>;
  /** Told of every call once, before anything comes of it. @throws Refusal for one too many */
  readonly count?: (call: Call) => void;
}

/** By what a caller may be known. */
export interface Shown {
  /** The header's value. */
  readonly authorization: string | null;
  /** SHA-256, in hex, of the client certificate of the connection. */
  readonly certificate: string | undefined;
}

/**
 * Lets through what the method's rule allows, and hands the caller to the handler. Streams are decided on their first message
 * before the handler runs, and again with every message, either way: a revoked token or certificate ends its streams.
 */
export function access({ rules, open, authenticate, count = () => {} }: Access): Interceptor {
  /** @param isFirst of the call, which is counted then, also when nobody could be known */
  const check = async (asked: Asked, request: Message | undefined, isFirst: boolean) => {
    const { method, shown, contextValues } = asked;
    const rule = rules.get(methodName(method));
    const { caller, refusal } = await known(authenticate(shown));
    // Also of those who are refused: the handler is not reached, and the records want to know who it was.
    contextValues.set(callerKey, caller);
    const subject = request === undefined ? noSubject : subjectOf(method, request);
    const decision = decide(rule, caller, subject);
    if (isFirst)
      count({ method, rule, caller, isAllowed: decision.allowed, address: contextValues.get(peerKey).address });
    // Who may call anyway need not be told that the token is stale.
    if (refusal && !rule?.isPublic) throw refusal;
    if (!decision.allowed) throw new Refusal(decision.code, decision.why, { reason: "ACCESS" });
  };

  return (next) => async (request) => {
    const { method, header, contextValues } = request;
    const { certificate, address } = contextValues.get(peerKey);
    if (open.has(request.service.typeName)) {
      count({ method, rule: undefined, caller: undefined, isAllowed: true, address });
      return next(request);
    }
    const asked = { method, shown: { authorization: header.get("authorization"), certificate }, contextValues };
    if (!request.stream) {
      await check(asked, request.message, true);
      return next(request);
    }
    const messages = request.message[Symbol.asyncIterator]();
    const first = await messages.next();
    const firstMessage = first.done ? undefined : first.value;
    await check(asked, firstMessage, true);
    const checked = async function* () {
      if (firstMessage === undefined) return;
      yield firstMessage;
      for (let at = await messages.next(); !at.done; at = await messages.next()) {
        await check(asked, at.value, false);
        yield at.value;
      }
    };
    const stillAllowed = () => check(asked, firstMessage, false);
    contextValues.set(stillAllowedKey, stillAllowed);
    const response = await next({ ...request, message: checked() });
    if (!response.stream) return response;
    const answers = response.message;
    const guarded = async function* () {
      for await (const answer of answers) {
        await stillAllowed();
        yield answer;
      }
    };
    return { ...response, message: guarded() };
  };
}

interface Asked {
  readonly method: DescMethod;
  readonly shown: Shown;
  readonly contextValues: ContextValues;
}

async function known(
  caller: Promise<Caller | undefined>,
): Promise<{ readonly caller: Caller | undefined; readonly refusal?: Refusal }> {
  try {
    return { caller: await caller };
  } catch (error) {
    if (error instanceof Refusal) return { caller: undefined, refusal: error };
    throw error;
  }
}
