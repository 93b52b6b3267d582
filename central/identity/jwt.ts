// Tokens as JWTs: signed by the key of the day, verified against the stored keys, good signatures remembered.
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { errors, jwtVerify, SignJWT } from "jose";
import type { SigningKey } from "#gen/holdfast/state/v1/token_pb.ts";
import { type Token, TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { Secret } from "#lib/secret.ts";
import { type Keyring, signingAlgorithm } from "./keyring.ts";

/** Signatures that were verified and are remembered. */
export const verifiedMax = 10_000;

interface Verified {
  /** The token's uuid. */
  readonly id: string;
  readonly key: SigningKey;
}

export class Jwts {
  readonly #keyring: Keyring;
  readonly #issuer: string;
  readonly #verifiedMax: number;
  /** In order of use, the longest unused first. */
  readonly #verified = new Map<string, Verified>();

  /** @param issuer who issues the tokens; others' are refused */
  constructor(keyring: Keyring, issuer: string, rememberedMax: number = verifiedMax) {
    this.#keyring = keyring;
    this.#issuer = issuer;
    this.#verifiedMax = rememberedMax;
  }

  /** Ids of the tokens whose signatures need not be verified again. */
  get remembered(): string[] {
    return Array.from(this.#verified.values(), ({ id }) => id);
  }

  async sign(token: Token): Promise<Secret> {
    const key = await this.#keyring.signing();
    const jwt = await new SignJWT({ type: token.tokenType === TokenType.USER ? "user" : "api" })
      .setProtectedHeader({ alg: signingAlgorithm, kid: key.id, typ: "JWT" })
      .setIssuer(this.#issuer)
      .setSubject(token.user)
      .setJti(token.uuid)
      .setIssuedAt(Math.floor(timestampMs(token.issuedAt!) / 1000))
      .setExpirationTime(Math.ceil(timestampMs(token.expires!) / 1000))
      .sign(key.privateKey);
    return new Secret(jwt);
  }

  /**
   * Says by whom a token was made, and not whether it is still good: that is in the store.
   * @returns the token's uuid
   * @throws Refusal "unauthenticated"
   */
  async idOf(jwt: string, nowMs: number): Promise<string> {
    const known = this.#verified.get(jwt);
    this.#verified.delete(jwt);
    // A key that was taken away takes what it signed with it.
    const isGood = known !== undefined && this.#keyring.key(known.key.id) === known.key;
    const verified = isGood ? known : await this.#verify(jwt, nowMs);
    if (this.#verified.size >= this.#verifiedMax) this.#forgetOldest();
    this.#verified.set(jwt, verified);
    return verified.id;
  }

  #forgetOldest(): void {
    for (const oldest of this.#verified.keys()) {
      this.#verified.delete(oldest);
      return;
    }
  }

  async #verify(jwt: string, nowMs: number): Promise<Verified> {
    let used: SigningKey | undefined;
    const keyOf = async ({ kid }: { readonly kid?: string }) => {
      used = this.#keyring.key(kid ?? "");
      if (used === undefined) throw refusedToken("the token is signed by a key that is unknown here");
      return this.#keyring.publicKeyOf(used);
    };
    try {
      const options = { algorithms: [signingAlgorithm], currentDate: new Date(nowMs), issuer: this.#issuer };
      const { payload } = await jwtVerify(jwt, keyOf, options);
      if (used === undefined || payload.jti === undefined) throw refusedToken("the token has no id");
      return { id: payload.jti, key: used };
    } catch (error) {
      if (error instanceof Refusal) throw error;
      if (error instanceof errors.JWTExpired) throw refusedToken("the token has expired");
      throw refusedToken("the token is not valid");
    }
  }
}

export const refusedToken = (text: string) => new Refusal("unauthenticated", text, { reason: "TOKEN" });
