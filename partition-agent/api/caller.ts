import {
  type ContextKey,
  type ContextValues,
  createContextKey,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import { bug } from "#lib/bug.ts";
import type { Clock } from "#lib/clock.ts";
import { Refusal } from "#lib/refusal.ts";
import { peerKey } from "#lib/rpc/peer.ts";
import { WrongTokens } from "../site/wrong-tokens.ts";
import type { People } from "./people.ts";

const callerKey: ContextKey<string | undefined> = createContextKey<string | undefined>(undefined, {
  description: "login of who calls the agent's part of the public API",
});

/** Lets in who may call, by the project that the request names. */
export function peopleAccess(people: People, clock: Clock): Interceptor {
  const wrong = new WrongTokens(clock);
  return (next) => async (request) => {
    if (request.stream) throw new Refusal("unimplemented", "the agent serves no streams here");
    const { address } = request.contextValues.get(peerKey);
    wrong.check(address);
    const { project } = request.message as { readonly project?: unknown };
    try {
      const asked = typeof project === "string" ? project : "";
      const token = await people.caller(request.header.get("authorization"), asked);
      request.contextValues.set(callerKey, token.user);
      people.checkRole(token, request.method, asked);
    } catch (error) {
      if (error instanceof Refusal && error.code === "unauthenticated") wrong.note(address);
      throw error;
    }
    return await next(request);
  };
}

/** Login of the caller, whether or not it may; undefined as long as it has proven nothing. */
export const userOf = (values: ContextValues): string | undefined => values.get(callerKey);

export const callerOf = ({ values }: Pick<HandlerContext, "values">): string =>
  userOf(values) ?? bug("a method was reached past the access check");
