import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { jwtVerify, SignJWT } from "jose";
import { newMeta } from "#domain/meta.ts";
import { type SigningKey, StoredTokenSchema } from "#gen/holdfast/state/v1/token_pb.ts";
import { InfraRole, type Labels } from "#gen/metalstack/api/v2/common_pb.ts";
import { type Token, TokenSchema, TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { Secret } from "#lib/secret.ts";
import type { Caller } from "../access/caller.ts";
import { bounded, type Grants, rightsOf } from "../access/rights.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { Keyring, signingAlgorithm } from "./keyring.ts";
import { membershipRights, ownerRights } from "./membership.ts";

export interface IdentityPorts {
  readonly state: State;
  readonly clock: Clock;
  readonly random: Random;
  readonly newSigningKey: () => Promise<SigningKey>;
  /** Login of the tenant whose members run the installation. */
  readonly provider: string;
  /** Who issues the tokens, for people who look into one. */
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
  issue(wanted: Wanted): Promise<Issued>;
  /** @throws Refusal "not-found" when the user has no such token */
  revoke(uuid: string, user: string): Promise<void>;
}

/** Users of agents' tokens are named after their partition. Only administrators make tokens for another user than themselves. */
const agentPrefix = "partition-agent:";

export const agentUser = (partition: string): string => `${agentPrefix}${partition}`;

/** Logins that no tenant and no person may have. */
export const isReservedUser = (login: string): boolean => login.startsWith(agentPrefix);

/** Signatures that were verified and are remembered. */
const verifiedMax = 10_000;

export async function openIdentity(ports: IdentityPorts): Promise<Identity> {
  const { state, clock, random, provider } = ports;
  const keyring = new Keyring(state);
  await keyring.open(ports.newSigningKey);
  const verified = new Map<string, string>();

  const idOf = async (jwt: string): Promise<string> => {
    const known = verified.get(jwt);
    if (known !== undefined) return known;
    const id = await verify(keyring, jwt, clock.wallMs());
    if (verified.size >= verifiedMax) for (const oldest of verified.keys()) if (verified.delete(oldest)) break;
    verified.set(jwt, id);
    return id;
  };

  return {
    async callerOf(authorization) {
      if (authorization === null) return undefined;
      const jwt = /^Bearer (\S+)$/i.exec(authorization)?.[1];
      if (jwt === undefined) throw refused("the authorization header wants the form: Bearer TOKEN");
      const stored = state.get(kinds.token, await idOf(jwt))?.value;
      const token = stored?.token;
      if (token === undefined || stored?.revoked !== false) throw refused("the token is revoked or unknown here");
      if (token.expires === undefined || timestampMs(token.expires) <= clock.wallMs()) {
        throw refused("the token has expired");
      }
      return callerWith(state, provider, token);
    },

    async issue(wanted) {
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
      const secret = await sign(keyring, ports.issuer, token);
      const stored = create(StoredTokenSchema, { token });
      await state.transact((tx) => tx.put(kinds.token, token.uuid, stored, { ttlMs: lifetimeMs }));
      return { token, secret };
    },

    async revoke(uuid, user) {
      await state.transact((tx) => {
        if (tx.get(kinds.token, uuid)?.token?.user !== user) throw new Refusal("not-found", `no token ${uuid}`);
        tx.delete(kinds.token, uuid);
      });
    },
  };
}

function callerWith(state: State, provider: string, token: Token): Caller {
  const { user, uuid, tokenType } = token;
  const own = rightsOf(token);
  const owner = ownerRights(state, provider, user);
  const rights = tokenType === TokenType.USER ? membershipRights(state, provider, user) : bounded(own, owner);
  const isAgent = user.startsWith(agentPrefix) && rights.infraRole !== InfraRole.UNSPECIFIED;
  const partition = isAgent ? user.slice(agentPrefix.length) : undefined;
  return { user, token: uuid, tokenType, rights, owner, partition };
}

async function sign(keyring: Keyring, issuer: string, token: Token): Promise<Secret> {
  const key = await keyring.signing();
  const jwt = await new SignJWT({ type: token.tokenType === TokenType.USER ? "user" : "api" })
    .setProtectedHeader({ alg: signingAlgorithm, kid: key.id, typ: "JWT" })
    .setIssuer(issuer)
    .setSubject(token.user)
    .setJti(token.uuid)
    .setIssuedAt(Math.floor(timestampMs(token.issuedAt!) / 1000))
    .setExpirationTime(Math.ceil(timestampMs(token.expires!) / 1000))
    .sign(key.privateKey);
  return new Secret(jwt);
}

/** @returns the token's uuid */
async function verify(keyring: Keyring, jwt: string, nowMs: number): Promise<string> {
  const keyOf = async ({ kid }: { readonly kid?: string }) => {
    const key = await keyring.verifying(kid ?? "");
    if (key === undefined) throw refused("the token is signed by a key that is unknown here");
    return key;
  };
  try {
    const options = { algorithms: [signingAlgorithm], currentDate: new Date(nowMs) };
    const { payload } = await jwtVerify(jwt, keyOf, options);
    return payload.jti ?? "";
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw refused("the token is not valid");
  }
}

const refused = (text: string) => new Refusal("unauthenticated", text, { reason: "TOKEN" });
