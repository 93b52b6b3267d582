import http2, {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  type SecureClientSessionOptions,
} from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import type { GrpcTransportOptions } from "@connectrpc/connect-node";

type SessionManager = NonNullable<GrpcTransportOptions["sessionManager"]>;

/** Milliseconds. */
export interface ConnectionLimits {
  /** One from which nothing has come for so long is pinged. */
  readonly pingMs: number;
  /** One that does not answer within this time is given up, with its calls. */
  readonly answerMs: number;
  /** One without a call is closed. */
  readonly idleMs: number;
}

interface Connection {
  readonly session: ClientHttp2Session;
  readonly connected: Promise<void>;
  /** A call has begun. */
  readonly began: (stream: ClientHttp2Stream) => void;
}

const usual: ConnectionLimits = { pingMs: 20_000, answerMs: 10_000, idleMs: 60_000 };
/** What may be on its way to us before we have read it: with HTTP/2's own 64 KiB a large answer waits for the line again and again. */
const windowBytes = 1 << 20;
/** A connection may end between two turns; one that ends so often is told of. */
const attemptsMax = 3;

/**
 * A client's HTTP/2 connection, opened for the first call and anew where it has ended. Its trouble ends calls, never the process:
 * connect-node's own keeper of connections lets go of some that still have an error to tell, which nobody takes then.
 */
export class ClientSessions implements SessionManager {
  readonly authority: string;
  readonly #options: ClientSessionOptions | SecureClientSessionOptions;
  readonly #limits: ConnectionLimits;
  #present: Connection | undefined;
  #heardMs = 0;

  constructor(
    url: string,
    options: ClientSessionOptions | SecureClientSessionOptions = {},
    limits: ConnectionLimits = usual,
  ) {
    this.authority = new URL(url).origin;
    this.#options = options;
    this.#limits = limits;
  }

  /** @throws why there is no connection */
  async request(
    ...[method, path, headers, options]: Parameters<SessionManager["request"]>
  ): Promise<ClientHttp2Stream> {
    for (let attempt = 1; ; attempt++) {
      const { session, connected, began } = this.#usable();
      await connected;
      if (session.closed || session.destroyed) {
        if (attempt < attemptsMax) continue;
        throw new ConnectError(`${this.authority} has closed ${attemptsMax} connections in a row`, Code.Unavailable);
      }
      const stream = session.request({ ...headers, ":method": method, ":path": path }, options);
      began(stream);
      return stream;
    }
  }

  notifyResponseByteRead(): void {
    this.#heardMs = performance.now();
  }

  /** Ends the connection and its calls. */
  abort(): void {
    this.#present?.session.destroy(undefined, http2.constants.NGHTTP2_CANCEL);
  }

  #usable(): Connection {
    const present = this.#present;
    if (present && !present.session.closed && !present.session.destroyed) return present;
    const session = http2.connect(this.authority, { ...this.#options, settings: { initialWindowSize: windowBytes } });
    const connected = new Promise<void>((resolve, reject) => {
      session.once("connect", () => resolve());
      // Also later on, when all who ask have been answered: an error that nobody takes would end the process.
      session.on("error", reject);
      session.once("close", () =>
        reject(new ConnectError(`${this.authority} closed the connection`, Code.Unavailable)),
      );
    });
    // Told to those who wait for it.
    connected.catch(() => {});
    this.#ping(session);
    this.#present = { session, connected, began: this.#rest(session) };
    return this.#present;
  }

  #ping(session: ClientHttp2Session): void {
    const { pingMs, answerMs } = this.#limits;
    this.notifyResponseByteRead();
    const looks = setInterval(() => {
      if (session.destroyed || session.connecting || performance.now() - this.#heardMs < pingMs) return;
      const text = `${this.authority} did not answer a ping within ${answerMs} ms`;
      const late = setTimeout(() => session.destroy(new ConnectError(text, Code.Unavailable)), answerMs).unref();
      session.ping(() => clearTimeout(late));
    }, pingMs).unref();
    session.once("close", () => clearInterval(looks));
  }

  /** Closes it when it has had no call for long enough; until then it keeps no process alive. @returns what to tell of each call */
  #rest(session: ClientHttp2Session): Connection["began"] {
    let streams = 0;
    let idle: NodeJS.Timeout | undefined;
    const rest = (): void => {
      if (streams > 0 || session.closed) return;
      session.unref();
      idle = setTimeout(() => session.close(), this.#limits.idleMs).unref();
    };
    session.once("connect", () => {
      session.setLocalWindowSize(windowBytes);
      rest();
    });
    session.once("close", () => clearTimeout(idle));
    return (stream) => {
      streams++;
      session.ref();
      clearTimeout(idle);
      stream.once("close", () => {
        streams--;
        rest();
      });
    };
  }
}
