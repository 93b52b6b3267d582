import type { ServerResponse } from "node:http";
import { cors } from "@connectrpc/connect";
import type { HttpRequest, HttpResponse } from "./rpc-handler.ts";

/** Pages of other origins may call from browsers when their origin is listed; nobody else's may, and none with cookies. */
export interface CrossOrigin {
  /** As browsers say them, such as `https://console.example`. */
  readonly origins: readonly string[];
  /** That pages may send, beside those of the protocols. */
  readonly requestHeaders: readonly string[];
  /** That pages may read, beside those of the protocols. */
  readonly responseHeaders: readonly string[];
}

/** For which browsers need not ask again; most of them know no longer time. */
const preflightSeconds = 7_200;

/**
 * Says in the answer to a call whether the page that made it may read it, and answers a browser that asks before a call.
 * @returns whether that was all
 * @source the Fetch standard, HTTP-network-or-cache and CORS-preflight fetch
 */
export function crossOrigin(
  { origins, requestHeaders, responseHeaders }: CrossOrigin,
  req: HttpRequest,
  response: HttpResponse,
): boolean {
  // The types of the two HTTP versions differ in nothing that is used here.
  const res = response as ServerResponse;
  const origin = req.headers.origin?.toString();
  // Caches must not give one origin's answer to another.
  res.setHeader("vary", "origin");
  const isListed = origin !== undefined && origins.includes(origin);
  if (isListed) res.setHeader("access-control-allow-origin", origin);
  if (req.method !== "OPTIONS" || req.headers["access-control-request-method"] === undefined) {
    if (isListed)
      res.setHeader("access-control-expose-headers", [...cors.exposedHeaders, ...responseHeaders].join(", "));
    return false;
  }
  if (!isListed) {
    res.writeHead(403, { "content-type": "text/plain; charset=utf-8" });
    res.end("pages of this origin may not call\n");
    return true;
  }
  res.writeHead(204, {
    "access-control-allow-methods": cors.allowedMethods.join(", "),
    "access-control-allow-headers": [...cors.allowedHeaders, ...requestHeaders].join(", "),
    "access-control-max-age": `${preflightSeconds}`,
  });
  res.end();
  return true;
}
