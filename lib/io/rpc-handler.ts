import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { TLSSocket } from "node:tls";
import {
  type ConnectRouter,
  type ConnectRouterOptions,
  createConnectRouter,
  createContextValues,
} from "@connectrpc/connect";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { Log } from "../log.ts";
import { type Peer, peerKey } from "../rpc/peer.ts";

export type HttpRequest = IncomingMessage | Http2ServerRequest;
export type HttpResponse = ServerResponse | Http2ServerResponse;

/** Serves paths that are no RPC. `false`: not mine, and nothing was written. */
export type PlainHandler = (req: HttpRequest, res: HttpResponse) => boolean | Promise<boolean>;

export interface RpcHandler {
  readonly routes: (router: ConnectRouter) => void;
  readonly router: ConnectRouterOptions;
  readonly http: PlainHandler | undefined;
  readonly log: Log;
}

/**
 * One request listener for both HTTP versions: RPCs by path, the rest to the plain handler, else 404.
 * Differs from connect-node's adapter in that nothing in a request line or header can throw through it, and that it logs to our log.
 */
export function rpcHandler(given: RpcHandler): (req: HttpRequest, res: HttpResponse) => void {
  const router = createConnectRouter({ acceptCompression: [compressionGzip, compressionBrotli], ...given.router });
  given.routes(router);
  const handlers = new Map(router.handlers.map((h) => [h.requestPath, h]));

  const serve = async (req: HttpRequest, res: HttpResponse): Promise<void> => {
    const handler = handlers.get(pathOf(req));
    if (handler === undefined) {
      if ((await given.http?.(req, res)) !== true) refuse(res, 404);
      return;
    }
    const universal = universalRequest(req, res);
    if (universal === undefined) {
      refuse(res, 400);
      return;
    }
    // Its promise may stay open for ever: it waits for an event that writable streams do not emit. Nothing may wait for it.
    universalResponseToNodeResponse(await handler(universal), res).catch((error: unknown) => {
      given.log.debug("response-not-written", { path: pathOf(req), error });
      res.destroy();
    });
  };

  return (req, res) => {
    serve(req, res).catch((error: unknown) => {
      given.log.warn("request-not-served", { path: pathOf(req), error });
      refuse(res, 500);
    });
  };
}

/** Undefined when host and path do not make a URL. */
function universalRequest(req: HttpRequest, res: HttpResponse) {
  try {
    return universalRequestFromNodeRequest(req, res, undefined, createContextValues().set(peerKey, peerOf(req)));
  } catch {
    return undefined;
  }
}

const pathOf = (req: HttpRequest): string => (req.url ?? "").split("?", 1)[0] ?? "";

function refuse(res: HttpResponse, status: number): void {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  // Two calls, because the types of the two HTTP versions do not chain alike.
  (res as ServerResponse).writeHead(status, { "content-type": "text/plain; charset=utf-8" });
  res.end(status === 404 ? "not found\n" : status === 400 ? "bad request\n" : "internal error\n");
}

function peerOf(req: HttpRequest): Peer {
  const socket = req.socket;
  const isTls = socket instanceof TLSSocket || "encrypted" in socket;
  const tls = isTls ? (socket as TLSSocket) : undefined;
  const certificate = tls?.getPeerCertificate()?.fingerprint256?.replaceAll(":", "").toLowerCase();
  return { address: (socket.remoteAddress ?? "").replace(/^::ffff:/, ""), encrypted: isTls, certificate };
}
