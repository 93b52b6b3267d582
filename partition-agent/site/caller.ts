import { type ContextKey, type ContextValues, createContextKey } from "@connectrpc/connect";

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

/** As orders and audit traces name the caller, `site:alice` or `site-token:alice`; undefined until the access interceptor let it in. */
export function userOf(values: ContextValues): string | undefined {
  const caller = values.get(callerKey);
  return caller && `${caller.via === "socket" ? "site" : "site-token"}:${caller.name}`;
}
