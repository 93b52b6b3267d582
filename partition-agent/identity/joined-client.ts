// Central as an agent with a certificate calls it: each call under the certificate of the moment.

import type { AgentIdentity } from "#gen/holdfast/state/v1/join_pb.ts";
import type { FollowRequest, FollowResponse, ReportRequest, ReportResponse } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { linkedSignal } from "#lib/linked-signal.ts";
import { hasReason } from "#lib/rpc/refusal-to-connect.ts";
import type { SyncClient } from "../link/link.ts";

interface Dialled {
  readonly identity: AgentIdentity;
  readonly client: SyncClient;
  readonly replaced: AbortController;
}

export interface JoinedClientPorts {
  readonly identity: () => AgentIdentity | undefined;
  /** Why there is none. */
  readonly why: () => string;
  readonly dial: (identity: AgentIdentity) => SyncClient;
  /** Central does not know this identity. */
  readonly unknown: (identity: AgentIdentity) => Promise<void>;
}

export class JoinedClient implements SyncClient {
  readonly #ports: JoinedClientPorts;
  #dialled: Dialled | undefined;

  constructor(ports: JoinedClientPorts) {
    this.#ports = ports;
  }

  /** The agent has another certificate: streams under the one before end, so that the link comes again under the new one. */
  changed(): void {
    this.#dialled?.replaced.abort(new Error("there is a new certificate: central is dialled anew"));
  }

  async *follow(request: FollowRequest, signal: AbortSignal): AsyncGenerator<FollowResponse> {
    const { identity, client, replaced } = this.#present();
    const either = linkedSignal(signal, replaced.signal);
    try {
      yield* client.follow(request, either.signal);
    } catch (error) {
      if (isUnknown(error)) await this.#ports.unknown(identity);
      throw replaced.signal.aborted && !signal.aborted ? replaced.signal.reason : error;
    } finally {
      either.unlink();
    }
  }

  async report(request: ReportRequest, signal: AbortSignal): Promise<ReportResponse> {
    return await this.#present().client.report(request, signal);
  }

  /** @throws an Error that says why nobody can be called */
  #present(): Dialled {
    const identity = this.#ports.identity();
    if (!identity) throw new Error(this.#ports.why());
    if (this.#dialled?.identity !== identity)
      this.#dialled = { identity, client: this.#ports.dial(identity), replaced: new AbortController() };
    return this.#dialled;
  }
}

/** As central/join/certificate-caller.ts says it. */
const isUnknown = (error: unknown): boolean => hasReason(error, "CERTIFICATE_UNKNOWN");
