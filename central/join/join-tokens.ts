// Join tokens: made by an administrator for one agent of one partition, used once.
import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { joinString } from "#domain/join/join-string.ts";
import { InvitationSchema } from "#gen/holdfast/join/v1/join_pb.ts";
import { JoinSecretSchema, type JoinToken, JoinTokenSchema } from "#gen/holdfast/state/v1/join_pb.ts";
import { equalSecrets } from "#lib/bytes.ts";
import { copyOf } from "#lib/message.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { Secret } from "#lib/secret.ts";
import type { Keys } from "#lib/x509/keys.ts";
import { usable } from "../catalog/catalog.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { rememberedMs } from "./agent-certificates.ts";

const secretBytes = 32;
/** Tokens of one partition that can still be used. */
const openMax = 20;

export interface JoinTokenInit {
  readonly partition: string;
  readonly user: string;
  readonly endpoint: string;
  /** SHA-256 of a certificate in the chain that central shows. */
  readonly fingerprint: Uint8Array;
  readonly lifetimeMs: number;
}

/** @returns what to store, and the join string: it is stored nowhere, so this is the one time to hand it over */
export function newJoinToken(
  { partition, user, endpoint, fingerprint, lifetimeMs }: JoinTokenInit,
  ports: { readonly random: Random; readonly keys: Keys },
  nowMs: number,
) {
  const id = ports.random.uuid();
  const secret = ports.random.bytes(secretBytes);
  const expires = timestampFromMs(nowMs + lifetimeMs);
  const createdAt = timestampFromMs(nowMs);
  return {
    token: create(JoinTokenSchema, { id, partition, createdAt, createdBy: user, expires }),
    proof: create(JoinSecretSchema, { hash: ports.keys.sha256(secret) }),
    text: new Secret(joinString(create(InvitationSchema, { endpoint, fingerprint, token: id, secret, expires }))),
  };
}

/** @throws Refusal "not-found" without the partition, "exhausted" when too many of its tokens are open */
export function putNew(tx: Tx, { token, proof }: ReturnType<typeof newJoinToken>, nowMs: number): void {
  const { id, partition } = token;
  usable(tx, kinds.partition, partition, "partition");
  const open = tx.list(kinds.joinToken).filter((row) => row.value.partition === partition && isOpen(row.value, nowMs));
  if (open.length >= openMax) {
    const text = `partition ${partition} has ${openMax} join tokens that can be used: revoke one first`;
    throw new Refusal("exhausted", text, { reason: "JOIN_TOKENS_OPEN" });
  }
  const ttlMs = endMs(token) - nowMs + rememberedMs;
  tx.put(kinds.joinToken, id, token, { ttlMs });
  tx.put(kinds.joinSecret, id, proof, { ttlMs });
}

/**
 * The token whose secret was shown, whatever became of it.
 * @throws Refusal "unauthenticated": that there is such a token is told to nobody who does not hold it
 */
export function provenToken(
  tx: Pick<Tx, "get">,
  shown: { readonly token: string; readonly hash: Uint8Array },
): JoinToken {
  const token = tx.get(kinds.joinToken, shown.token);
  const proof = tx.get(kinds.joinSecret, shown.token);
  if (token && proof && equalSecrets(proof.hash, shown.hash)) return token;
  throw new Refusal("unauthenticated", "the join token is unknown here, or its secret is another one: make a new one", {
    reason: "JOIN_TOKEN_UNKNOWN",
  });
}

/** @throws Refusal when nobody can join by it, or not the agent of this partition */
export function checkUsable(token: JoinToken, partition: string, nowMs: number): void {
  const name = `join token ${token.id}`;
  if (token.partition !== partition) {
    const text = `${name} is for partition ${token.partition}, not ${partition}`;
    throw new Refusal("denied", text, { reason: "OTHER_PARTITION", field: "partition" });
  }
  const over = whyOver(token, nowMs);
  if (over) throw new Refusal("precondition", `${name} ${over.text}: make a new one`, { reason: over.reason });
}

export const isOpen = (token: JoinToken, nowMs: number): boolean => whyOver(token, nowMs) === undefined;

function whyOver({ use, revokedAt, expires }: JoinToken, nowMs: number) {
  if (revokedAt) return { reason: "JOIN_TOKEN_REVOKED", text: `was revoked at ${textOf(revokedAt)}` };
  if (use) return { reason: "JOIN_TOKEN_USED", text: `was used at ${textOf(use.at)} by ${use.host || "an agent"}` };
  if (!expires || timestampMs(expires) <= nowMs)
    return { reason: "JOIN_TOKEN_EXPIRED", text: `expired at ${textOf(expires)}` };
  return undefined;
}

export function putUsed(
  tx: Tx,
  token: JoinToken,
  use: { readonly host: string; readonly fingerprint: string },
  nowMs: number,
): void {
  const used = copyOf(token);
  used.use = { $typeName: "holdfast.state.v1.JoinTokenUse", ...use, at: timestampFromMs(nowMs) };
  put(tx, used, nowMs);
}

/** @throws Refusal "not-found", or "precondition" when it cannot be used anyway */
export function revokeToken(tx: Tx, id: string, nowMs: number): JoinToken {
  const token = tx.get(kinds.joinToken, id);
  if (!token) throw new Refusal("not-found", `join token ${id} does not exist`, { field: "id" });
  checkUsable(token, token.partition, nowMs);
  const revoked = copyOf(token);
  revoked.revokedAt = timestampFromMs(nowMs);
  put(tx, revoked, nowMs);
  return revoked;
}

const put = (tx: Tx, token: JoinToken, nowMs: number): void =>
  tx.put(kinds.joinToken, token.id, token, { ttlMs: Math.max(1, endMs(token) - nowMs) + rememberedMs });

const endMs = ({ expires }: JoinToken): number => (expires ? timestampMs(expires) : 0);
const textOf = (at: JoinToken["expires"]): string => (at ? timestampDate(at).toISOString() : "its beginning");
