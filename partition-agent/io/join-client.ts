import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { JoinService } from "#gen/holdfast/join/v1/join_pb.ts";
import { ClientSessions } from "#lib/io/client-sessions.ts";
import type { JoinClient } from "../identity/joiner.ts";
import { type CentralTls, pinned, tlsOf } from "./central-tls.ts";

/** holdfast.join.v1 over gRPC, each call over a connection of its own. */
export function joinClient(options: {
  /** URL of central instead of the one that the join token names. */
  readonly url: string | undefined;
  /** PEM, instead of what central named as its own when the agent joined. */
  readonly ca: string | undefined;
}): JoinClient {
  const urlOf = ({ endpoint }: { readonly endpoint: string }): string => options.url ?? endpoint;
  return {
    async enrol(invitation, request, signal) {
      const url = urlOf(invitation);
      const trusted = await pinned(url, invitation.fingerprint, signal);
      return await over(url, trusted, async (client) => (await client.enrol(request, { signal })).credential);
    },
    renew: (identity, request, signal) =>
      over(urlOf(identity), tlsOf(identity, options.ca), async (client) => {
        return (await client.renew(request, { signal })).credential;
      }),
  };
}

async function over<T>(
  url: string,
  tls: CentralTls,
  call: (client: Client<typeof JoinService>) => Promise<T>,
): Promise<T> {
  const sessionManager = new ClientSessions(url, tls);
  try {
    return await call(createClient(JoinService, createGrpcTransport({ baseUrl: url, sessionManager })));
  } finally {
    sessionManager.abort();
  }
}
