import type { ServerResponse } from "node:http";
import type { PlainHandler } from "#lib/io/rpc-handler.ts";
import { Refusal } from "#lib/refusal.ts";
import type { RateLimit } from "../rate/rate-limit.ts";

/** Plain HTTP knows no tokens, so each request counts for its address, as a call without a token does. */
export const limitedHttp =
  (handler: PlainHandler, limit: RateLimit): PlainHandler =>
  (req, res, peer) => {
    try {
      limit.countAnonymous(peer.address);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const headers = {
        "content-type": "text/plain; charset=utf-8",
        "retry-after": `${Math.ceil((error.retryAfterMs ?? 0) / 1_000)}`,
      };
      // Two calls, because the types of the two HTTP versions do not chain alike.
      (res as ServerResponse).writeHead(429, headers);
      res.end(`${error.message}\n`);
      return true;
    }
    return handler(req, res, peer);
  };
