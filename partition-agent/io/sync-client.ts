import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, createNodeHttpClient } from "@connectrpc/connect-node";
import { SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { ClientSessions } from "#lib/io/client-sessions.ts";
import { defaultLimits } from "#lib/io/port-limits.ts";
import { grpcAnswers } from "#lib/rpc/grpc-answers.ts";
import type { SyncClient } from "../link/link.ts";
import type { CentralTls } from "./central-tls.ts";

const pingMs = 10_000;
const answerMs = 5_000;
/** A connection whose certificate was replaced is left alone, and goes away by itself. */
const idleMs = 60_000;
/** As much as central's port sends at most. */
const messageBytesMax = defaultLimits.responseBytesMax;

/**
 * holdfast.sync.v1 over gRPC. The connection is pinged, so that one that died without a word is noticed.
 * @param options.token asked for every call: a renewed token is used at once; absent where a certificate says who calls
 */
export function syncClient(options: {
  readonly url: string;
  readonly token?: () => Promise<string>;
  readonly tls: CentralTls;
}): SyncClient {
  const { url: baseUrl, token, tls } = options;
  const sessionManager = new ClientSessions(baseUrl, tls, { pingMs, answerMs, idleMs });
  const headers = async () => new Headers(token && { authorization: `Bearer ${await token()}` });
  const http = createNodeHttpClient({ httpVersion: "2", sessionProvider: () => sessionManager });
  const { follow: method } = SyncService.method;
  // Nothing is compressed on the way down: a thousand agents that come back at once would keep central busy with that.
  const transport = createGrpcTransport({ baseUrl, sessionManager, acceptCompression: [] });
  const client = createClient(SyncService, transport);
  return {
    follow: (request, signal) => grpcAnswers(http, { baseUrl, method, headers, request, messageBytesMax, signal }),
    report: async (request, signal) => client.report(request, { headers: await headers(), signal }),
  };
}
