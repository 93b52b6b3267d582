import { createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { ClientSessions } from "#lib/io/client-sessions.ts";
import type { SyncClient } from "../link/link.ts";
import type { CentralTls } from "./central-tls.ts";

const pingMs = 10_000;
const answerMs = 5_000;
/** A connection whose certificate was replaced is left alone, and goes away by itself. */
const idleMs = 60_000;

/**
 * holdfast.sync.v1 over gRPC. The connection is pinged, so that one that died without a word is noticed.
 * @param options.token asked for every call: a renewed token is used at once; absent where a certificate says who calls
 */
export function syncClient(options: {
  readonly url: string;
  readonly token?: () => Promise<string>;
  readonly tls: CentralTls;
}): SyncClient {
  const { url, token, tls } = options;
  const authorize = (of: () => Promise<string>): Interceptor => {
    return (next) => async (request) => {
      request.header.set("authorization", `Bearer ${await of()}`);
      return await next(request);
    };
  };
  const transport = createGrpcTransport({
    baseUrl: url,
    sessionManager: new ClientSessions(url, tls, { pingMs, answerMs, idleMs }),
    // Nothing is compressed on the way down: a thousand agents that come back at once would keep central busy with that.
    acceptCompression: [],
    interceptors: token ? [authorize(token)] : [],
  });
  const client = createClient(SyncService, transport);
  return {
    follow: (request, signal) => client.follow(request, { signal }),
    report: (request, signal) => client.report(request, { signal }),
  };
}
