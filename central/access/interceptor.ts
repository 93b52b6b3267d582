import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { ContextValues, Interceptor } from "@connectrpc/connect";
import { Refusal } from "#lib/refusal.ts";
import { peerKey } from "#lib/rpc/peer.ts";
import { type Caller, callerKey } from "./caller.ts";
import { decide } from "./decide.ts";
import { methodName, noSubject, type Rule, subjectOf } from "./rule.ts";

export interface Access {
  readonly rules: ReadonlyMap<string, Rule>;
  /** Services without options that anybody may use: health and reflection. */
  readonly open: ReadonlySet<string>;
  /** @throws Refusal "unauthenticated" for a token or a certificate that is no good; undefined without either */
  readonly authenticate: (shown: Shown) => Promise<Caller | undefined>;
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
export function access({ rules, open, authenticate }: Access): Interceptor {
  const check = async (
    method: DescMethod,
    shown: Shown,
    request: Message | undefined,
    contextValues: ContextValues,
  ) => {
    const rule = rules.get(methodName(method));
    const caller = await authenticate(shown).catch((error: unknown) => {
      // Who may call anyway need not be told that the token is stale.
      if (rule?.isPublic && error instanceof Refusal) return undefined;
      throw error;
    });
    // Also of those who are refused: the handler is not reached, and the records want to know who it was.
    contextValues.set(callerKey, caller);
    const subject = request === undefined ? noSubject : subjectOf(method, request);
    const decision = decide(rule, caller, subject);
    if (!decision.allowed) throw new Refusal(decision.code, decision.why, { reason: "ACCESS" });
  };

  return (next) => async (request) => {
    if (open.has(request.service.typeName)) return next(request);
    const { method, header, contextValues } = request;
    const { certificate } = contextValues.get(peerKey);
    const shown = { authorization: header.get("authorization"), certificate };
    if (!request.stream) {
      await check(method, shown, request.message, contextValues);
      return next(request);
    }
    const messages = request.message[Symbol.asyncIterator]();
    const first = await messages.next();
    const firstMessage = first.done ? undefined : first.value;
    await check(method, shown, firstMessage, contextValues);
    const checked = async function* () {
      if (firstMessage === undefined) return;
      yield firstMessage;
      for (let at = await messages.next(); !at.done; at = await messages.next()) {
        await check(method, shown, at.value, contextValues);
        yield at.value;
      }
    };
    const response = await next({ ...request, message: checked() });
    if (!response.stream) return response;
    const answers = response.message;
    const guarded = async function* () {
      for await (const answer of answers) {
        await check(method, shown, firstMessage, contextValues);
        yield answer;
      }
    };
    return { ...response, message: guarded() };
  };
}
