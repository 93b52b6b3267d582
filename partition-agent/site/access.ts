// Lets people on site in: by the socket's mode, or by the site's token.
import type { Interceptor } from "@connectrpc/connect";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { peerKey } from "#lib/rpc/peer.ts";
import { userHeader } from "#lib/rpc/user-header.ts";
import { callerKey } from "./caller.ts";
import type { SiteCredential } from "./credential.ts";
import { WrongTokens } from "./wrong-tokens.ts";

/** For a port that only root and the agent's own user can open. */
export const socketAccess: Interceptor = (next) => (request) => {
  request.contextValues.set(callerKey, { name: nameIn(request.header), via: "socket", address: "" });
  return next(request);
};

/** For a port that anybody can reach. An address with too many wrong tokens is not listened to for a while. */
export function tokenAccess(
  credential: SiteCredential,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Interceptor {
  const wrong = new WrongTokens(clock);
  return (next) => (request) => {
    const { address } = request.contextValues.get(peerKey);
    wrong.check(address);
    const token = /^Bearer (\S+)$/i.exec(request.header.get("authorization") ?? "")?.[1];
    if (token === undefined) throw new Refusal("unauthenticated", "the call carries no token of this site");
    if (!credential.isRight(token)) {
      wrong.note(address);
      log.warn("site-token-wrong", { address });
      throw new Refusal("unauthenticated", "the token is not this site's", { reason: "WRONG_TOKEN" });
    }
    request.contextValues.set(callerKey, { name: nameIn(request.header), via: "token", address });
    return next(request);
  };
}

/** What cannot be a user's name is not written down. */
function nameIn(header: Headers): string {
  const name = header.get(userHeader) ?? "";
  return /^[\w.@-]{1,64}$/.test(name) ? name : "unknown";
}
