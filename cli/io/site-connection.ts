import net from "node:net";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { ClientSessions } from "#lib/io/client-sessions.ts";
import { reasonOf } from "#lib/reason-of.ts";
import { userHeader } from "#lib/rpc/user-header.ts";
import type { Api } from "../cli.ts";
import type { SitePlace } from "../site/place.ts";
import { pinnedTls } from "./pinned-tls.ts";

const callTimeoutMs = 30_000;

/** Connect over HTTP/2, through the agent's socket or to its address. @throws ConnectError when it cannot be reached */
export async function connectSite(place: SitePlace, signal: AbortSignal): Promise<Api & { close(): void }> {
  const baseUrl = place.kind === "socket" ? "http://agent" : place.server;
  const connection = await connected(place, signal);
  const sessions = new ClientSessions(baseUrl, { createConnection: () => connection });
  const introduce: Interceptor = (next) => (request) => {
    request.header.set(userHeader, place.user);
    if (place.kind === "address") request.header.set("authorization", `Bearer ${place.token.reveal()}`);
    return next(request);
  };
  const transport = createConnectTransport({
    baseUrl,
    httpVersion: "2",
    sessionManager: sessions,
    defaultTimeoutMs: callTimeoutMs,
    interceptors: [introduce],
  });
  return {
    client: (service) => createClient(service, transport),
    close() {
      sessions.abort();
      connection.destroy();
    },
  };
}

async function connected(place: SitePlace, signal: AbortSignal): Promise<net.Socket> {
  if (place.kind === "socket") return net.connect({ path: place.path });
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(callTimeoutMs)]);
  try {
    return await pinnedTls(new URL(place.server), place.fingerprint, deadline);
  } catch (error) {
    const text = reasonOf(error);
    throw new ConnectError(text, Code.Unavailable, undefined, undefined, error);
  }
}
