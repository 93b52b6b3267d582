import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { SyncClient } from "../link/link.ts";

const pingMs = 10_000;
const pingTimeoutMs = 5_000;

/**
 * holdfast.sync.v1 over gRPC. The connection is pinged, so that one that died without a word is noticed.
 * @param options.token asked for every call: a renewed token is used at once
 */
export function syncClient(options: {
  readonly url: string;
  readonly token: () => Promise<string>;
  readonly ca: string | undefined;
}): SyncClient {
  const transport = createGrpcTransport({
    baseUrl: options.url,
    pingIntervalMs: pingMs,
    pingTimeoutMs,
    pingIdleConnection: true,
    ...(options.ca !== undefined && { nodeOptions: { ca: options.ca } }),
    interceptors: [
      (next) => async (request) => {
        request.header.set("authorization", `Bearer ${await options.token()}`);
        return await next(request);
      },
    ],
  });
  const client = createClient(SyncService, transport);
  return {
    follow: (request, signal) => client.follow(request, { signal }),
    report: (request, signal) => client.report(request, { signal }),
  };
}
