import { timestampDate, timestampMs } from "@bufbuild/protobuf/wkt";
import type { AgentCertificate } from "#gen/holdfast/state/v1/join_pb.ts";
import { InfraRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Caller } from "../access/caller.ts";
import { noRights, rightsOf } from "../access/rights.ts";
import { agentUser } from "../identity/identity.ts";
import { checkPartition } from "../identity/same-partition.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

const rights = rightsOf({ infraRole: InfraRole.EDITOR });

/**
 * Who holds a client certificate: the agent of the partition that it was given to. Only what is stored is believed, so nothing that
 * the certificate says of itself is.
 * @param fingerprint of the certificate whose key the caller has proven to hold, hex
 * @param nowMs wall clock
 * @throws Refusal "unauthenticated" for one that is no good any more, or was never given by this central
 */
export function certificateCaller(state: Pick<State, "get">, fingerprint: string, nowMs: number): Caller {
  const stored = state.get(kinds.agentCertificate, fingerprint);
  const { partition } = goodCertificate(stored?.value, nowMs);
  checkPartition(state, partition, stored);
  const user = agentUser(partition);
  return { user, token: "", certificate: fingerprint, tokenType: TokenType.API, rights, owner: noRights, partition };
}

/** @throws Refusal "unauthenticated" for none, and for one that is revoked or has expired */
export function goodCertificate(stored: AgentCertificate | undefined, nowMs: number): AgentCertificate {
  if (!stored) throw noGood("CERTIFICATE_UNKNOWN", "the client certificate is not one that this central has given");
  const name = `the client certificate ${stored.serial} of partition ${stored.partition}`;
  if (stored.revokedAt) throw noGood("CERTIFICATE_REVOKED", `${name} was revoked at ${textOf(stored.revokedAt)}`);
  if (isOver(stored, nowMs)) throw noGood("CERTIFICATE_EXPIRED", `${name} expired at ${textOf(stored.notAfter)}`);
  return stored;
}

export const isOver = ({ notAfter }: Pick<AgentCertificate, "notAfter">, nowMs: number): boolean =>
  notAfter === undefined || timestampMs(notAfter) <= nowMs;

const textOf = (at: AgentCertificate["notAfter"]): string => (at ? timestampDate(at).toISOString() : "its beginning");

const noGood = (reason: string, text: string) =>
  new Refusal("unauthenticated", `${text}: the agent can join again with a new join token`, { reason });
