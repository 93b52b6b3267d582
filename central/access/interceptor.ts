import type { DescMethod } from "@bufbuild/protobuf";
import type { ContextValues, Interceptor } from "@connectrpc/connect";
import { Refusal } from "#lib/refusal.ts";
import { peerKey } from "#lib/rpc/peer.ts";
import type { Call } from "../rate/rate-limit.ts";
import { type Caller, callerKey, stillAllowedKey } from "./caller.ts";
import { decide } from "./decide.ts";
import { methodName, noSubject, type Rule, type Subject, subjectOf } from "./rule.ts";

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
  const check = async (asked: Asked, subject: Subject, isFirst: boolean) => {
    const { method, rule, shown, contextValues } = asked;
    const { caller, refusal } = await known(authenticate(shown));
    // Also of those who are refused: the handler is not reached, and the records want to know who it was.
    contextValues.set(callerKey, caller);
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
    const rule = rules.get(methodName(method));
    const asked = { method, rule, shown: { authorization: header.get("authorization"), certificate }, contextValues };
    if (!request.stream) {
      await check(asked, subjectOf(method, request.message), true);
      return next(request);
    }
    const messages = request.message[Symbol.asyncIterator]();
    const first = await messages.next();
    const firstMessage = first.done ? undefined : first.value;
    // Looked for once: it takes longer than all the rest, and is asked about with every answer.
    const subject = firstMessage === undefined ? noSubject : subjectOf(method, firstMessage);
    await check(asked, subject, true);
    const checked = async function* () {
      if (firstMessage === undefined) return;
      yield firstMessage;
      for (let at = await messages.next(); !at.done; at = await messages.next()) {
        await check(asked, subjectOf(method, at.value), false);
        yield at.value;
      }
    };
    const stillAllowed = () => check(asked, subject, false);
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
  readonly rule: Rule | undefined;
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
