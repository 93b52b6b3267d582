import { createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { ClientSessions } from "#lib/io/client-sessions.ts";
import { reasonHeader } from "#lib/rpc/reason-header.ts";
import type { Api } from "../cli.ts";
import type { Target } from "../settings.ts";

const callTimeoutMs = 30_000;

/**
 * Connect over HTTP/2, also without TLS (prior knowledge).
 * @param ca PEM text of the CA, when it is not one that the system trusts
 */
export function connect(target: Target, ca: string | undefined): Api & { close(): void } {
  const sessions = new ClientSessions(target.server, ca === undefined ? {} : { ca });
  const authorize: Interceptor = (next) => (request) => {
    if (target.token !== undefined) request.header.set("authorization", `Bearer ${target.token.reveal()}`);
    if (target.reason !== undefined) request.header.set(reasonHeader, target.reason);
    return next(request);
  };
  const transport = createConnectTransport({
    baseUrl: target.server,
    httpVersion: "2",
    sessionManager: sessions,
    defaultTimeoutMs: callTimeoutMs,
    interceptors: [authorize],
  });
  return {
    client: (service) => createClient(service, transport),
    close: () => sessions.abort(),
  };
}
