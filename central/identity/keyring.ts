import { clone } from "@bufbuild/protobuf";
import { type CryptoKey, importJWK, type JWK } from "jose";
import { type SigningKey, SigningKeySchema } from "#gen/holdfast/state/v1/token_pb.ts";
import { bug } from "#lib/bug.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

/** ECDSA over P-521. @source RFC 7518 §3.4 */
export const signingAlgorithm = "ES512";

interface Pair {
  readonly id: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}

/** The keys that sign tokens, as stored. The newest signs; every stored one verifies. */
export class Keyring {
  readonly #state: State;
  readonly #imported = new Map<string, Promise<Pair>>();

  constructor(state: State) {
    this.#state = state;
  }

  /** Stores a first key when there is none. Of several centrals that start at once, one wins. */
  async open(newKey: () => Promise<SigningKey>): Promise<void> {
    if (this.#state.list(kinds.signingKey).length > 0) return;
    const first = clone(SigningKeySchema, await newKey());
    first.id = "1";
    await this.#state.transact((tx) => {
      if (tx.get(kinds.signingKey, first.id) === undefined) tx.put(kinds.signingKey, first.id, first);
    });
  }

  signing(): Promise<Pair> {
    const newest = [...this.#state.list(kinds.signingKey)].sort((a, b) => (a.created < b.created ? 1 : -1))[0];
    return this.#pair(newest?.value ?? bug("no signing key is stored"));
  }

  /** Undefined: no such key is stored any more. */
  async verifying(id: string): Promise<CryptoKey | undefined> {
    const stored = this.#state.get(kinds.signingKey, id);
    return stored === undefined ? undefined : (await this.#pair(stored.value)).publicKey;
  }

  #pair(key: SigningKey): Promise<Pair> {
    const known = this.#imported.get(key.id);
    if (known !== undefined) return known;
    const pair = importPair(key);
    this.#imported.set(key.id, pair);
    return pair;
  }
}

async function importPair(key: SigningKey): Promise<Pair> {
  const jwk: JWK = JSON.parse(key.privateJwk);
  const { d: _private, ...open } = jwk;
  const imported = await Promise.all([jwk, open].map((k) => importJWK(k, signingAlgorithm)));
  const [privateKey, publicKey] = imported as [CryptoKey, CryptoKey]; // an elliptic-curve JWK never gives raw bytes
  return { id: key.id, privateKey, publicKey };
}
