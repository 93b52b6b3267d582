// What administrators do about agents that join: the part of holdfast.api.v1.PartitionService that is about join tokens and
// certificates.

import { durationMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { isEndpoint } from "#domain/join/join-string.ts";
import type { PartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { dayMs } from "#lib/durations.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { callerOf } from "../access/caller.ts";
import { usable } from "../catalog/catalog.ts";
import { sealedAnswer } from "../idempotency/kept-answers.ts";
import { kinds } from "../store/kinds.ts";
import { revoke } from "./agent-certificates.ts";
import type { JoinServicePorts } from "./join-service.ts";
import { newJoinToken, putNew, revokeToken } from "./join-tokens.ts";

const lifetime = { leastMs: 60_000, usualMs: dayMs, mostMs: 30 * dayMs };

type Administration = Pick<
  ServiceImpl<typeof PartitionService>,
  "createJoinToken" | "listJoinTokens" | "revokeJoinToken" | "listAgentCertificates" | "revokeAgentCertificates"
>;

export type AdministrationPorts = JoinServicePorts & { readonly random: Random };

export function joinAdministration(ports: AdministrationPorts): Administration {
  const { state, clock, keys, log } = ports;
  return {
    async createJoinToken({ partition, endpoint, lifetime: wanted }, context) {
      const shown = ports.shown();
      if (shown === undefined) {
        const text = "this central is served without TLS, so no agent can join: configure tls.names, or tls.certFile";
        throw new Refusal("precondition", text, { reason: "NO_TLS" });
      }
      const { user } = callerOf(context);
      const init = {
        partition,
        user,
        endpoint: checkedEndpoint(endpoint),
        fingerprint: keys.sha256(shown),
        lifetimeMs: checkedLifetime(wanted === undefined ? lifetime.usualMs : durationMs(wanted)),
      };
      const made = newJoinToken(init, ports, clock.wallMs());
      const answer = { token: made.token, joinString: made.text.reveal() };
      const keep = await sealedAnswer(context, answer);
      await state.transact((tx) => {
        putNew(tx, made, clock.wallMs());
        keep(tx);
      });
      log.info("join-token-created", { partition, token: made.token.id, user });
      return answer;
    },

    listJoinTokens: ({ partition }) => ({
      tokens: state
        .list(kinds.joinToken, (token) => partition === "" || token.partition === partition)
        .map((row) => row.value),
    }),

    async revokeJoinToken({ id }, context) {
      const { result: token } = await state.transact((tx) => revokeToken(tx, id, clock.wallMs()));
      log.info("join-token-revoked", { partition: token.partition, token: id, user: callerOf(context).user });
      return { token };
    },

    listAgentCertificates: ({ partition }) => ({
      certificates: state
        .list(kinds.agentCertificate, (certificate) => partition === "" || certificate.partition === partition)
        .map((row) => row.value),
    }),

    async revokeAgentCertificates({ partition, serial }, context) {
      const { user } = callerOf(context);
      const { result } = await state.transact((tx) => {
        usable(tx, kinds.partition, partition, "partition");
        const revoked = revoke(tx, { partition, serial, user }, clock.wallMs());
        if (revoked.length === 0) throw nothingToRevoke(partition, serial);
        return revoked;
      });
      log.warn("certificates-revoked", { partition, user, certificates: result.map((c) => c.serial) });
      return { certificates: [...result] };
    },
  };
}

function checkedEndpoint(url: string): string {
  const bare = url.replace(/\/$/, "");
  if (isEndpoint(bare)) return bare;
  throw new Refusal(
    "invalid",
    `endpoint ${url}: a URL of the form https://HOST:PORT is wanted, as the agent reaches central`,
    {
      field: "endpoint",
    },
  );
}

function checkedLifetime(ms: number): number {
  if (ms >= lifetime.leastMs && ms <= lifetime.mostMs) return ms;
  throw new Refusal("invalid", `lifetime ${ms / 1000} s: 1 minute to 30 days is wanted`, { field: "lifetime" });
}

const nothingToRevoke = (partition: string, serial: string) =>
  new Refusal(
    "not-found",
    serial === ""
      ? `the agent of partition ${partition} has no certificate that is good`
      : `the agent of partition ${partition} has no good certificate with serial ${serial}`,
    { field: "serial" },
  );
