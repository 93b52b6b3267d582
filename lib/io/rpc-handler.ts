import type { IncomingMessage, ServerResponse } from "node:http";
import http2, { type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { TLSSocket } from "node:tls";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ContextValues,
  createConnectRouter,
  createContextValues,
  type Interceptor,
} from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { Log } from "../log.ts";
import { type Peer, peerKey } from "../rpc/peer.ts";
import { sendNowKey } from "../rpc/send-now.ts";
import { unreadable } from "../rpc/unreadable.ts";
import { Arriving, ArrivingRequest, arrivals, arrivingKey } from "./arriving.ts";
import { type CrossOrigin, crossOrigin } from "./cross-origin.ts";
import { decompressingInTurn } from "./decompression.ts";
import type { PortLimits } from "./port-limits.ts";
import { sendNow } from "./send-now.ts";

export type HttpRequest = IncomingMessage | Http2ServerRequest;
export type HttpResponse = ServerResponse | Http2ServerResponse;

/** Serves paths that are no RPC. `false`: not mine, and nothing was written. */
export type PlainHandler = (req: HttpRequest, res: HttpResponse, peer: Peer) => boolean | Promise<boolean>;

/** Whom a call comes from, if another one than the peer may be believed. @param forwardedFor the header X-Forwarded-For */
export type CallerAddress = (peer: string, forwardedFor: string | undefined) => string;

export interface RpcHandler {
  readonly routes: (router: ConnectRouter) => void;
  /** Outermost first. */
  readonly interceptors: readonly Interceptor[];
  readonly limits: PortLimits;
  /** Aborted with the reason that running handlers are given, streams first. */
  readonly stopping: { readonly streams: AbortSignal; readonly unary: AbortSignal };
  readonly http: PlainHandler | undefined;
  readonly callerAddress: CallerAddress | undefined;
  readonly crossOrigin: CrossOrigin | undefined;
  readonly log: Log;
}

/**
 * One request listener for both HTTP versions: RPCs by path, the rest to the plain handler, else 404.
 * Differs from connect-node's adapter in that nothing in a request line or header can throw through it, that what arrives is bounded
 * in bytes and time, that calls end in two steps, and that it logs to our log.
 */
export function rpcHandler(given: RpcHandler): (req: HttpRequest, res: HttpResponse) => void {
  const { limits, callerAddress = (peer) => peer, log } = given;
  const handlers = handlersByPath(given);
  const all = new Arriving(limits.arrivingBytesMax);

  const serve = async (req: HttpRequest, res: HttpResponse): Promise<void> => {
    const handler = handlers.get(pathOf(req));
    const peer = peerOf(req, callerAddress);
    if (handler === undefined) {
      if ((await given.http?.(req, res, peer)) !== true) refuse(res, 404, "not found\n");
      return;
    }
    if (given.crossOrigin && crossOrigin(given.crossOrigin, req, res)) return;
    const arriving = new ArrivingRequest(all, limits.requestMs);
    res.once("close", () => {
      arriving.isHere();
      arriving.release();
    });
    const values = createContextValues()
      .set(peerKey, peer)
      .set(arrivingKey, arriving)
      .set(sendNowKey, sendNow(req, res));
    const universal = universalRequest(req, res, values, bodyOf(req, arriving, limits));
    if (universal === undefined) {
      refuse(res, 400, "bad request\n");
      return;
    }
    leaveRestOnAnswer(req);
    // Its promise may stay open for ever: it waits for an event that writable streams do not emit. Nothing may wait for it.
    universalResponseToNodeResponse(await unreadable(await handler(universal)), res).catch((error: unknown) => {
      log.debug("response-not-written", { path: pathOf(req), error });
      res.destroy();
    });
  };

  return (req, res) => {
    serve(req, res).catch((error: unknown) => {
      log.warn("request-not-served", { path: pathOf(req), error });
      refuse(res, 500, "internal error\n");
    });
  };
}

/** Connect tells all handlers of one router of a stop at once, so there are two: of streams, and of the rest. */
function handlersByPath({ routes, interceptors, limits, stopping }: RpcHandler): Map<string, UniversalHandler> {
  const acceptCompression = decompressingInTurn([compressionGzip, compressionBrotli]);
  const routed = (shutdownSignal: AbortSignal) => {
    const router = createConnectRouter({
      acceptCompression,
      interceptors: [arrivals, endings(shutdownSignal), ...interceptors],
      readMaxBytes: limits.requestBytesMax,
      writeMaxBytes: limits.responseBytesMax,
      shutdownSignal,
    });
    routes(router);
    return router.handlers;
  };
  const isUnary = ({ method }: UniversalHandler) => method.methodKind === "unary";
  const chosen = [
    ...routed(stopping.unary).filter(isUnary),
    ...routed(stopping.streams).filter((handler) => !isUnary(handler)),
  ];
  return new Map(chosen.map((handler) => [handler.requestPath, handler]));
}

/** A stream whose handler just returns when it is told of the stop has not said all: the reader must not take that for its end. */
const endings =
  (stopping: AbortSignal): Interceptor =>
  (next) =>
  async (request) => {
    const response = await next(request);
    if (!response.stream) return response;
    const { message: messages } = response;
    const ended = async function* () {
      yield* messages;
      if (stopping.aborted) throw ConnectError.from(stopping.reason);
    };
    return { ...response, message: ended() };
  };

/** Undefined when host and path do not make a URL. */
function universalRequest(req: HttpRequest, res: HttpResponse, values: ContextValues, body: AsyncIterable<Uint8Array>) {
  try {
    return { ...universalRequestFromNodeRequest(req, res, undefined, values), body };
  } catch {
    return undefined;
  }
}

/**
 * Who leaves it before its end leaves the connection open, so that an answer can be sent. What is wrong with the header is thrown here
 * as well, because from here it gets into the answer in every protocol's own form.
 */
async function* bodyOf(
  req: HttpRequest,
  arriving: ArrivingRequest,
  { headerFieldsMax }: PortLimits,
): AsyncGenerator<Uint8Array> {
  const fields = req.rawHeaders.length / 2;
  if (fields > headerFieldsMax)
    throw new ConnectError(`${fields} header fields exceed ${headerFieldsMax}`, Code.ResourceExhausted);
  const chunks: AsyncIterator<Uint8Array> = req.iterator({ destroyOnReturn: false });
  let isWhole = false;
  try {
    for (;;) {
      const chunk = await arriving.inTime(chunks.next());
      isWhole = chunk.done === true;
      if (chunk.done) break;
      arriving.take(chunk.value.length);
      yield chunk.value;
    }
    arriving.isHere();
  } finally {
    if (!isWhole) void dropRest(req, chunks);
  }
}

/** A stream that holds something unread is never closed. */
async function dropRest(req: HttpRequest, chunks: AsyncIterator<Uint8Array>): Promise<void> {
  try {
    await chunks.return?.();
    req.resume();
  } catch {
    // The peer has gone, and so has the rest.
  }
}

/** An answer that goes out before the request is whole ends the request as well. HTTP/1 servers see to it themselves. */
function leaveRestOnAnswer(req: HttpRequest): void {
  if (!("stream" in req)) return;
  const { stream } = req;
  stream.once("wantTrailers", () => {
    if (!stream.readableEnded) setImmediate(() => stream.close(http2.constants.NGHTTP2_NO_ERROR));
  });
}

const pathOf = (req: HttpRequest): string => (req.url ?? "").split("?", 1)[0] ?? "";

function refuse(res: HttpResponse, status: number, body: string): void {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  // Two calls, because the types of the two HTTP versions do not chain alike.
  (res as ServerResponse).writeHead(status, { "content-type": "text/plain; charset=utf-8" });
  res.end(body);
}

function peerOf({ socket, headers }: HttpRequest, callerAddress: CallerAddress): Peer {
  const isTls = socket instanceof TLSSocket || "encrypted" in socket;
  const tls = isTls ? (socket as TLSSocket) : undefined;
  const certificate = tls?.getPeerCertificate()?.fingerprint256?.replaceAll(":", "").toLowerCase();
  const address = (socket.remoteAddress ?? "").replace(/^::ffff:/, "");
  const forwardedFor = headers["x-forwarded-for"]?.toString();
  return { address: callerAddress(address, forwardedFor), encrypted: isTls, certificate };
}
