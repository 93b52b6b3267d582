import type { ClientHttp2Session } from "node:http2";
import { Http2SessionManager } from "@connectrpc/connect-node";

/**
 * connect-node's keeper of a client's HTTP/2 connection, whose trouble ends calls and never the process. Where a connection is
 * destroyed, and a call asks for a new one before that is told, connect-node does not listen to the old one any more, whose error then
 * nobody takes; and it pings connections that are destroyed already, which throws out of its timer.
 * @source connectrpc/connect-es issue 1795
 */
export class ClientSessions extends Http2SessionManager {
  readonly #known = new WeakSet<object>();

  override async request(...asked: Parameters<Http2SessionManager["request"]>) {
    const stream = await super.request(...asked);
    const session = stream.session as ClientHttp2Session | undefined; // of a client's stream it is
    if (session === undefined || this.#known.has(session)) return stream;
    this.#known.add(session);
    session.on("error", () => {});
    const ping = session.ping.bind(session) as (...args: unknown[]) => boolean; // either of its two forms
    session.ping = (...args: unknown[]) => !session.destroyed && ping(...args);
    return stream;
  }
}
