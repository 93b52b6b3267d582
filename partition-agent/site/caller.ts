import { type ContextKey, createContextKey, type HandlerContext } from "@connectrpc/connect";
import { bug } from "#lib/bug.ts";

/** Who calls the local API. What is proven is the way in; the name is what the caller's program says. */
export interface SiteCaller {
  readonly name: string;
  /** `socket`: root or the agent's own user, as the socket's mode lets in nobody else. `token`: whoever has the site's token. */
  readonly via: "socket" | "token";
  /** Empty for the socket. */
  readonly address: string;
}

export const callerKey: ContextKey<SiteCaller | undefined> = createContextKey<SiteCaller | undefined>(undefined, {
  description: "who calls the local API",
});

/** The caller that the access interceptor has let in. */
export const callerOf = (context: HandlerContext): SiteCaller =>
  context.values.get(callerKey) ?? bug(`${context.method.name} was called past the access check`);

/** As orders and audit traces name the caller: `site:alice`, or `site-token:alice`. */
export const issuerOf = ({ name, via }: SiteCaller): string => `${via === "socket" ? "site" : "site-token"}:${name}`;
