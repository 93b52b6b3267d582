// Certificates of agents: given for a join token or for the one before, listed, revoked.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Credential, CredentialSchema } from "#gen/holdfast/join/v1/join_pb.ts";
import { type AgentCertificate, AgentCertificateSchema } from "#gen/holdfast/state/v1/join_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { copyOf } from "#lib/message.ts";
import { agentUser } from "../identity/identity.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import type { Authority } from "./authority.ts";
import { goodCertificate, isOver } from "./certificate-caller.ts";

/** So long after its end it is still known what became of one. */
export const rememberedMs = 30 * dayMs;
/** Newer than the one that asks: those that were given to it and whose answers were lost. */
const unansweredMax = 8;

/** Whom a certificate is for. */
export interface Holder {
  readonly partition: string;
  /** Id of the join token that it goes back to. */
  readonly token: string;
  readonly host: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** SHA-256 of it. */
  readonly keyHash: Uint8Array;
}

/** A new one. It is good from the moment when it is stored. */
export function issueFor({ partition, token, host, publicKey, keyHash }: Holder, authority: Authority, lifeMs: number) {
  const issued = authority.issue({ subject: agentUser(partition), publicKey, use: { kind: "client" }, lifeMs });
  const { fingerprint, serial, certificate, issuedMs, untilMs } = issued;
  return create(AgentCertificateSchema, {
    fingerprint,
    partition,
    serial,
    issuedAt: timestampFromMs(issuedMs),
    notAfter: timestampFromMs(untilMs),
    token,
    host,
    certificate,
    keyHash,
  });
}

export function keep(tx: Tx, certificate: AgentCertificate, nowMs: number): void {
  const ttlMs = Math.max(1, msOf(certificate.notAfter) - nowMs) + rememberedMs;
  tx.put(kinds.agentCertificate, certificate.fingerprint, certificate, { ttlMs });
}

/**
 * Stores the one that was given for another, and forgets what neither needs: those before the one that asks, since it was used.
 * @throws Refusal "unauthenticated" when the one that asks is no good any more
 */
export function renew(tx: Tx, fingerprint: string, renewed: AgentCertificate, nowMs: number): void {
  const asking = goodCertificate(tx.get(kinds.agentCertificate, fingerprint), nowMs);
  const family = tx
    .list(kinds.agentCertificate)
    .map((row) => row.value)
    .filter((c) => c.token === renewed.token && c.fingerprint !== fingerprint && !c.revokedAt);
  const askedMs = msOf(asking.issuedAt);
  const older = family.filter((c) => msOf(c.issuedAt) < askedMs);
  const newer = family.filter((c) => msOf(c.issuedAt) >= askedMs).sort((a, b) => msOf(a.issuedAt) - msOf(b.issuedAt));
  const unanswered = newer.slice(0, Math.max(0, newer.length - unansweredMax));
  for (const gone of [...older, ...unanswered]) tx.delete(kinds.agentCertificate, gone.fingerprint);
  // Written as it is: who revokes all at the same time, and does not see the new one yet, loses the race and looks once more.
  keep(tx, asking, nowMs);
  keep(tx, renewed, nowMs);
}

/** @param serial of one of them; all that are good when empty. @returns those that are revoked by it */
export function revoke(
  tx: Tx,
  { partition, serial, user }: { readonly partition: string; readonly serial: string; readonly user: string },
  nowMs: number,
): readonly AgentCertificate[] {
  const good = tx
    .list(kinds.agentCertificate)
    .map((row) => row.value)
    .filter((c) => c.partition === partition && !c.revokedAt && !isOver(c, nowMs))
    .filter((c) => serial === "" || c.serial === serial);
  return good.map(({ fingerprint }) => {
    const revoked = copyOf(tx.get(kinds.agentCertificate, fingerprint)!);
    revoked.revokedAt = timestampFromMs(nowMs);
    revoked.revokedBy = user;
    keep(tx, revoked, nowMs);
    return revoked;
  });
}

/** @param authorities by which central is recognised, DER */
export const credentialOf = (
  { certificate, issuedAt, notAfter }: AgentCertificate,
  authorities: readonly Uint8Array[],
): Credential =>
  create(CredentialSchema, {
    certificate,
    authorities: [...authorities],
    ...(issuedAt && { issuedAt }),
    ...(notAfter && { notAfter }),
  });

const msOf = (at: AgentCertificate["notAfter"]): number => (at ? timestampMs(at) : 0);
