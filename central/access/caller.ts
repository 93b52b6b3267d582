import { type ContextKey, createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import { bug } from "#lib/bug.ts";
import type { Rights } from "./rights.ts";

/** Who calls. */
export interface Caller {
  /** Login of the token's owner. */
  readonly user: string;
  /** The token's uuid; empty for those without one. */
  readonly token: string;
  /** SHA-256, in hex, of the certificate by which an agent is known; undefined for those with a token. */
  readonly certificate?: string;
  readonly tokenType: TokenType;
  readonly rights: Rights;
  /** What the owner may by membership, now: the bound for single-method permissions. */
  readonly owner: Rights;
  /** The partition whose agent this is; undefined for everybody else. */
  readonly partition: string | undefined;
}

/** Undefined: nobody has identified themselves, which only public methods allow. */
export const callerKey: ContextKey<Caller | undefined> = createContextKey<Caller | undefined>(undefined, {
  description: "the caller",
});

/** The caller of a method that is not public. */
export function callerOf(context: Pick<HandlerContext, "values">): Caller {
  return context.values.get(callerKey) ?? bug("a method that is not public was reached without a caller");
}

/** Of a stream: throws as soon as its caller may not have any more of it. Asked before each message that goes past the interceptors. */
export const stillAllowedKey: ContextKey<() => Promise<void>> = createContextKey(async () => {}, {
  description: "whether the caller may go on",
});
