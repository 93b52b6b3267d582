// Who somebody is to us, out of what the identity provider says of them.
import { Refusal } from "#lib/refusal.ts";
import { adminUser } from "../identity/admin-token.ts";
import { isReservedUser } from "../identity/identity.ts";

/** What the identity provider says of somebody: OpenID Connect Core §5.1. */
export type Claims = Readonly<Record<string, unknown>>;

export interface Person {
  /** By which memberships and tokens know them. */
  readonly login: string;
  readonly name: string;
  readonly email: string;
  readonly avatarUrl: string;
}

/** Bounds of a tenant's login in the contract's rules: everybody has one of that name. */
const loginMin = 2;
const loginMax = 128;
/** And of what is shown beside it. */
const shownMax = 128;

/**
 * @param userClaim the claim that is the login; its values must belong to one person for ever
 * @throws Refusal "denied" for those who can be nobody here
 */
export function personOf(claims: Claims, userClaim: string): Person {
  const login = claims[userClaim];
  if (typeof login !== "string" || login === "") throw denied(`the identity provider says no ${userClaim}`, "NO_LOGIN");
  const length = [...login].length;
  if (login.trim() !== login || /\p{C}/u.test(login) || length < loginMin || length > loginMax) {
    throw denied(`the ${userClaim} ${JSON.stringify(login.slice(0, 64))} can be no login`, "NO_LOGIN");
  }
  // Whoever may type an address into their profile is not yet the one who reads it.
  if (userClaim === "email" && claims.email_verified === false) {
    throw denied(`the identity provider has not verified ${login}`, "NOT_VERIFIED");
  }
  if (login === adminUser || isReservedUser(login)) throw denied(`login ${login} is reserved`, "RESERVED");
  return {
    login,
    name: text(claims.name) || login,
    email: text(claims.email),
    avatarUrl: /^https?:\/\//.test(text(claims.picture)) ? text(claims.picture) : "",
  };
}

const text = (claim: unknown): string => (typeof claim === "string" && claim.length <= shownMax ? claim.trim() : "");

const denied = (why: string, reason: string) => new Refusal("denied", why, { reason });
