import { once, setMaxListeners } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import type { AddressInfo, Server, Socket } from "node:net";
import { Code, ConnectError, type ConnectRouter, type Interceptor } from "@connectrpc/connect";
import type { Log } from "../log.ts";
import type { CrossOrigin } from "./cross-origin.ts";
import { keepAlive } from "./h2-keep-alive.ts";
import { answerTrouble } from "./http1-trouble.ts";
import { peekProtocol } from "./peek-protocol.ts";
import { defaultLimits, type PortLimits } from "./port-limits.ts";
import {
  type CallerAddress,
  type HttpRequest,
  type HttpResponse,
  type PlainHandler,
  rpcHandler,
} from "./rpc-handler.ts";

/** sun_path, less the zero at its end. @source unix(7) */
const socketPathBytesMax = 107;

/** PEM texts. */
export interface TlsMaterial {
  readonly key: string | Uint8Array;
  readonly certificate: string | Uint8Array;
  /** Clients are asked for certificates signed by these; `peerKey` has what they show. Who shows none is served as well. */
  readonly clientCa?: string | Uint8Array;
}

export interface OnePort {
  readonly routes: (router: ConnectRouter) => void;
  /** Outermost first. */
  readonly interceptors?: readonly Interceptor[];
  /** Asked for every path that is no RPC. */
  readonly http?: PlainHandler;
  /** Absent: a call comes from the peer of its connection. */
  readonly callerAddress?: CallerAddress;
  /** Absent: browsers let no page of another origin call. */
  readonly crossOrigin?: CrossOrigin;
  /** Present: TLS, both HTTP versions by ALPN. Asked again at every `reload()`. */
  readonly tls?: () => TlsMaterial | Promise<TlsMaterial>;
  readonly limits?: Partial<PortLimits>;
  readonly log: Log;
}

/** An address and a TCP port (0 takes a free one), or the path of a Unix socket that only this user and root may open. */
export type Where = { readonly host: string; readonly port: number } | { readonly socket: string };

export interface Listening {
  /** The address that is bound, or the socket's path. */
  readonly address: string;
  /** 0 for a Unix socket. */
  readonly port: number;
  /** Reads the certificate again; connections that are open keep theirs. Throws, and keeps the old one, when the new is no good. */
  reload(): Promise<void>;
  /**
   * Takes no new connection or call. Streams are told at once, and end as Unavailable; unary calls may go on for `drainMs`, and are told
   * then. Who has not ended `cutMs` after that is cut off.
   */
  stop(): Promise<void>;
}

/**
 * One port for gRPC, gRPC-Web, Connect and plain HTTP, over HTTP/1.1 and HTTP/2 (without TLS: prior knowledge).
 * @throws when the address, the port or the path cannot be had
 */
export async function listen(options: OnePort, where: Where): Promise<Listening> {
  const limits = { ...defaultLimits, ...options.limits };
  const [streams, unary] = [new AbortController(), new AbortController()];
  // Every open call listens for it.
  setMaxListeners(0, streams.signal, unary.signal);
  const handler = rpcHandler({
    routes: options.routes,
    interceptors: options.interceptors ?? [],
    limits,
    stopping: { streams: streams.signal, unary: unary.signal },
    http: options.http,
    callerAddress: options.callerAddress,
    crossOrigin: options.crossOrigin,
    log: options.log,
  });
  const served = options.tls
    ? await encrypted(handler, options.tls, limits)
    : { ...plain(handler, limits, options.log), reload: async () => {} };
  const { server } = served;
  server.maxConnections = limits.connectionsMax;
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    // A reset is no news: whoever reads the socket hears of it as well.
    socket.on("error", () => {});
  });
  const bound = "socket" in where ? await bindSocket(server, where.socket) : await bindPort(server, where);
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    const reason = new ConnectError("the server is stopping", Code.Unavailable);
    streams.abort(reason);
    served.drain();
    const tell = setTimeout(() => unary.abort(reason), limits.drainMs);
    const cut = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, limits.drainMs + limits.cutMs);
    await closed;
    clearTimeout(tell);
    clearTimeout(cut);
  };
  return {
    address: bound.address,
    port: bound.port,
    reload: served.reload,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}

async function bindPort(
  server: Server,
  where: { readonly host: string; readonly port: number },
): Promise<Pick<Listening, "address" | "port">> {
  server.listen({ host: where.host, port: where.port });
  await once(server, "listening");
  const { address, port } = server.address() as AddressInfo;
  return { address, port };
}

/** The socket is made within the call, so the mask that it is made under is there for nothing else. */
async function bindSocket(server: Server, path: string): Promise<Pick<Listening, "address" | "port">> {
  const bytes = Buffer.byteLength(path);
  if (bytes > socketPathBytesMax)
    throw new Error(
      `socket ${path}: a path of ${bytes} bytes exceeds the ${socketPathBytesMax} of a Unix socket: name a shorter one`,
    );
  const mask = process.umask(0o177);
  try {
    server.listen({ path });
  } finally {
    process.umask(mask);
  }
  await once(server, "listening");
  return { address: path, port: 0 };
}

interface Served {
  readonly server: Server & Partial<Pick<http.Server, "closeIdleConnections">>;
  readonly drain: () => void;
}

type Handler = (req: HttpRequest, res: HttpResponse) => void;

/** The HTTP/1 server accepts, because its time limits only work in a server that listens; HTTP/2 connections are handed on. */
function plain(handler: Handler, limits: PortLimits, log: Log): Served {
  const h1 = http.createServer({ noDelay: true }, handler);
  const h2 = http2.createServer(http2Options(limits), handler);
  const drainSessions = keepAlive(h2, limits);
  const drainHttp1 = tame(h1, limits);
  const takeHttp1 = h1.listeners("connection") as ((socket: Socket) => void)[];
  h1.removeAllListeners("connection");
  h1.on("connection", (socket: Socket) => {
    peekProtocol(socket, limits.headersMs, (protocol) => {
      if (protocol === "h2") {
        // As HTTP/2's own server has it: a peer that ends its side has left, and so have its streams.
        socket.allowHalfOpen = false;
        h2.emit("connection", socket);
      } else for (const take of takeHttp1) take.call(h1, socket);
    });
  });
  h2.on("sessionError", (error) => log.debug("http2-session-failed", { error }));
  return {
    server: h1,
    drain: () => {
      drainSessions();
      drainHttp1();
    },
  };
}

async function encrypted(
  handler: Handler,
  load: () => TlsMaterial | Promise<TlsMaterial>,
  limits: PortLimits,
): Promise<Served & { reload: () => Promise<void> }> {
  const context = async () => {
    const { key, certificate, clientCa } = await load();
    return {
      key: Buffer.from(key),
      cert: Buffer.from(certificate),
      ...(clientCa === undefined ? {} : { ca: Buffer.from(clientCa) }),
      minVersion: "TLSv1.2" as const,
    };
  };
  const first = await context();
  const server = http2.createSecureServer(
    {
      ...first,
      ...http2Options(limits),
      allowHTTP1: true,
      noDelay: true,
      requestCert: "ca" in first,
      rejectUnauthorized: false,
      handshakeTimeout: limits.headersMs,
    },
    handler,
  );
  const drainSessions = keepAlive(server, limits);
  // With allowHTTP1 this server has the HTTP/1 server's properties and methods; @types/node does not say so.
  const drainHttp1 = tame(server as unknown as http.Server, limits);
  return {
    server: server as unknown as Server,
    drain: () => {
      drainSessions();
      drainHttp1();
    },
    reload: async () => server.setSecureContext(await context()),
  };
}

const http2Options = (limits: PortLimits): http2.ServerOptions => ({
  settings: {
    maxConcurrentStreams: limits.streamsMax,
    maxHeaderListSize: limits.headerBytesMax,
    // One message of a stream fits without waiting for the other side's leave.
    initialWindowSize: 1 << 20,
  },
  // Above the limit a call is answered, far above it its stream is reset.
  maxHeaderListPairs: 2 * limits.headerFieldsMax,
  maxSessionInvalidFrames: 100,
});

/** What HTTP/1 is bound by, said here for both servers; a stop closes what is idle, and the rest when its answer is sent. */
function tame(server: http.Server, limits: PortLimits): () => void {
  // Properties of both, of which @types/node knows half.
  Object.assign(server, {
    maxHeaderSize: limits.headerBytesMax,
    // Above it fields would be left out without a word; `rpcHandler` refuses them.
    maxHeadersCount: 0,
    keepAliveTimeout: limits.idleMs,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: Math.max(1, limits.headersMs / 3),
  });
  answerTrouble(server, limits);
  let draining = false;
  server.on("request", (req: HttpRequest, res: HttpResponse) => {
    if (req.httpVersionMajor !== 1) return;
    if (draining) res.setHeader("connection", "close");
    res.once("close", () => {
      if (draining) setImmediate(() => server.closeIdleConnections());
    });
  });
  return () => {
    draining = true;
    server.closeIdleConnections();
  };
}
