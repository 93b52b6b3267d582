import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { newMeta } from "#domain/meta.ts";
import type { SiteAccess } from "#gen/holdfast/state/v1/budget_pb.ts";
import { type SigningKey, type StoredToken, StoredTokenSchema } from "#gen/holdfast/state/v1/token_pb.ts";
import { InfraRole, type Labels } from "#gen/metalstack/api/v2/common_pb.ts";
import { type Token, TokenSchema, TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Secret } from "#lib/secret.ts";
import type { Caller } from "../access/caller.ts";
import { bounded, type Grants, rightsOf } from "../access/rights.ts";
import type { Stored } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { Jwts, refusedToken } from "./jwt.ts";
import { keepIdentity } from "./keep.ts";
import { Keyring } from "./keyring.ts";
import { liveGrants } from "./live-grants.ts";
import { membershipRights, ownerRights } from "./membership.ts";
import { checkPartition } from "./same-partition.ts";
import { Seals } from "./seals.ts";
import { tokensIn } from "./tokens-in.ts";
import { tokensOf } from "./tokens-of.ts";

export interface IdentityPorts {
  readonly state: State;
  readonly clock: Clock;
  readonly random: Random;
  readonly newSigningKey: () => Promise<SigningKey>;
  /** Login of the tenant whose members run the installation. */
  readonly provider: string;
  /** Who issues the tokens: those of others are refused. */
  readonly issuer: string;
}

export interface Wanted extends Grants {
  readonly user: string;
  readonly description?: string;
  readonly tokenType?: TokenType;
  readonly lifetimeMs: number;
  readonly labels?: Labels | undefined;
}

export interface Issued {
  readonly token: Token;
  /** The signed token itself. It is stored nowhere: this is the one time to hand it over. */
  readonly secret: Secret;
}

/** Tokens: issues, verifies and revokes them. What one may is read from the store at every call; only signatures are cached. */
export interface Identity {
  /**
   * @param authorization the header's value
   * @returns undefined without a header
   * @throws Refusal "unauthenticated" for a token that is no good, expired or revoked
   */
  callerOf(authorization: string | null): Promise<Caller | undefined>;
  /** @throws Refusal "exhausted" when the user has `userTokensMax` already */
  issue(wanted: Wanted, keep?: Keep): Promise<Issued>;
  /** @throws Refusal "not-found" when the user has no such token */
  revoke(uuid: string, user: string): Promise<void>;
  readonly seals: Pick<Seals, "seal" | "open">;
  /** Who may do what in a project, and by which keys that is proven, for those who cannot ask here. */
  accessTo(project: string): ProjectAccess;
}

export type ProjectAccess = Pick<SiteAccess, "issuer" | "keys" | "tokens">;

/** Makes, of what was issued, writes that belong to the issuing. */
export type Keep = (issued: Issued) => Promise<(tx: Tx) => void>;

export interface KeptIdentity extends Identity {
  /** Rotates the keys and takes spent tokens away, until the signal. */
  keep(log: Log, signal: AbortSignal): Promise<void>;
}

/** Users of agents' tokens are named after their partition. Only administrators make tokens for another user than themselves. */
const agentPrefix = "partition-agent:";

export const agentUser = (partition: string): string => `${agentPrefix}${partition}`;

/** Logins that no tenant and no person may have. */
export const isReservedUser = (login: string): boolean => login.startsWith(agentPrefix);

/** Tokens of one user that are good at one time. */
export const userTokensMax = 1_000;

export async function openIdentity(ports: IdentityPorts): Promise<KeptIdentity> {
  const { state, clock, random, provider } = ports;
  const keyring = new Keyring(ports);
  await keyring.rotate();
  const jwts = new Jwts(keyring, ports.issuer);
  const byUser = tokensOf(state);

  return {
    async callerOf(authorization) {
      if (authorization === null) return undefined;
      const jwt = /^Bearer (\S+)$/i.exec(authorization)?.[1];
      if (jwt === undefined) throw refusedToken("the authorization header wants the form: Bearer TOKEN");
      const stored = state.get(kinds.token, await jwts.idOf(jwt, clock.wallMs()));
      const token = stored?.value.token;
      if (token === undefined || stored?.value.revoked !== false) {
        throw refusedToken("the token is revoked or unknown here");
      }
      if (token.expires === undefined || timestampMs(token.expires) <= clock.wallMs()) {
        throw refusedToken("the token has expired");
      }
      return callerWith(state, provider, stored, token);
    },

    async issue(wanted, keep = async () => () => undefined) {
      const now = clock.wallMs();
      const { lifetimeMs, labels, tokenType, adminRole, infraRole, ...rest } = wanted;
      const token = create(TokenSchema, {
        ...rest,
        permissions: (rest.permissions ?? []).map(({ subject, methods }) => ({ subject, methods })),
        ...(adminRole === undefined ? {} : { adminRole }),
        ...(infraRole === undefined ? {} : { infraRole }),
        uuid: random.uuid(),
        meta: newMeta(labels, now),
        expires: timestampFromMs(now + lifetimeMs),
        issuedAt: timestampFromMs(now),
        tokenType: tokenType ?? TokenType.API,
      });
      const secret = await jwts.sign(token);
      const stored = create(StoredTokenSchema, { token });
      const alongside = await keep({ token, secret });
      await state.transact((tx) => {
        if (tx.by(byUser, token.user).length >= userTokensMax) throw tooMany(token.user);
        tx.put(kinds.token, token.uuid, stored, { ttlMs: lifetimeMs });
        alongside(tx);
      });
      return { token, secret };
    },

    async revoke(uuid, user) {
      await state.transact((tx) => {
        if (tx.get(kinds.token, uuid)?.token?.user !== user) throw new Refusal("not-found", `no token ${uuid}`);
        tx.delete(kinds.token, uuid);
      });
    },

    seals: new Seals(keyring, clock),

    accessTo: (project) => ({
      issuer: ports.issuer,
      keys: keyring.verifying(),
      tokens: tokensIn(state, project, clock.wallMs(), (stored, token) => callerWith(state, provider, stored, token)),
    }),

    keep: (log, signal) => keepIdentity({ state, clock, keyring, log }, signal),
  };
}

const tooMany = (user: string) =>
  new Refusal("exhausted", `${user} has ${userTokensMax} tokens, and no more are kept: revoke some`, {
    reason: "TOKENS_MAX",
  });

function callerWith(state: State, provider: string, stored: Stored<StoredToken>, token: Token): Caller {
  const { user, uuid, tokenType } = token;
  const own = rightsOf({ ...token, ...liveGrants(state, stored, token) });
  const owner = ownerRights(state, provider, user);
  const rights = tokenType === TokenType.USER ? membershipRights(state, provider, user) : bounded(own, owner);
  const isAgent = user.startsWith(agentPrefix) && rights.infraRole !== InfraRole.UNSPECIFIED;
  const partition = isAgent ? user.slice(agentPrefix.length) : undefined;
  if (partition !== undefined) checkPartition(state, partition, stored);
  return { user, token: uuid, tokenType, rights, owner, partition };
}
