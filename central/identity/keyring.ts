import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type CryptoKey, importJWK, type JWK } from "jose";
import { type VerifyingKey, VerifyingKeySchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import type { SigningKey } from "#gen/holdfast/state/v1/token_pb.ts";
import { bug } from "#lib/bug.ts";
import type { Clock } from "#lib/clock.ts";
import { copyOf } from "#lib/message.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { type KeyTimes, keyPlan } from "./key-plan.ts";

/** ECDSA over P-521. @source RFC 7518 §3.4 */
export const signingAlgorithm = "ES512";

interface Pair {
  readonly id: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}

interface KeyringPorts {
  readonly state: State;
  readonly clock: Clock;
  readonly newSigningKey: () => Promise<SigningKey>;
}

/** The keys that sign tokens, as stored: one signs, every stored one verifies. */
export class Keyring {
  readonly #ports: KeyringPorts;
  /** By the stored value itself: another key that comes to have the same id is another value. */
  readonly #imported = new WeakMap<SigningKey, Promise<Pair>>();

  constructor(ports: KeyringPorts) {
    this.#ports = ports;
  }

  /**
   * Makes the key that is due, and drops those that are over. Of several centrals that do it at once, one wins.
   * @returns the id of the key that was made
   */
  async rotate(): Promise<string | undefined> {
    const { state, clock, newSigningKey } = this.#ports;
    const { next, over } = this.#plan();
    if (next === undefined && over.length === 0) return undefined;
    const made = next && copyOf(await newSigningKey());
    const { result } = await state.transact((tx) => {
      const stored = tx.list(kinds.signingKey).map((row) => timesOf(row.value));
      const plan = keyPlan(stored, clock.wallMs());
      for (const id of plan.over) tx.delete(kinds.signingKey, id);
      if (made === undefined || plan.next === undefined) return undefined;
      if (tx.get(kinds.signingKey, plan.next.id) !== undefined) return undefined;
      const { id, signsFromMs } = plan.next;
      tx.put(kinds.signingKey, id, { ...made, id, signsFrom: timestampFromMs(signsFromMs) });
      return id;
    });
    return result;
  }

  signing(): Promise<Pair> {
    return this.#pair(this.today());
  }

  /** The key of the day. */
  today(): SigningKey {
    return this.key(this.#plan().signing ?? "") ?? bug("no signing key is stored");
  }

  /** Undefined: no such key is stored any more. */
  key(id: string): SigningKey | undefined {
    return this.#ports.state.get(kinds.signingKey, id)?.value;
  }

  /** All that verify, without their private parts. */
  verifying(): VerifyingKey[] {
    return this.#ports.state.list(kinds.signingKey).map(({ value: { id, privateJwk } }) => {
      const { d: _private, ...open }: JWK = JSON.parse(privateJwk);
      return create(VerifyingKeySchema, { id, publicJwk: JSON.stringify(open) });
    });
  }

  async publicKeyOf(key: SigningKey): Promise<CryptoKey> {
    return (await this.#pair(key)).publicKey;
  }

  #plan() {
    const { state, clock } = this.#ports;
    return keyPlan(
      state.list(kinds.signingKey).map((row) => timesOf(row.value)),
      clock.wallMs(),
    );
  }

  #pair(key: SigningKey): Promise<Pair> {
    const known = this.#imported.get(key);
    if (known !== undefined) return known;
    const pair = importPair(key);
    this.#imported.set(key, pair);
    return pair;
  }
}

const timesOf = ({ id, signsFrom }: SigningKey): KeyTimes => ({
  id,
  signsFromMs: signsFrom === undefined ? 0 : timestampMs(signsFrom),
});

async function importPair(key: SigningKey): Promise<Pair> {
  const jwk: JWK = JSON.parse(key.privateJwk);
  const { d: _private, ...open } = jwk;
  const imported = await Promise.all([jwk, open].map((k) => importJWK(k, signingAlgorithm)));
  const [privateKey, publicKey] = imported as [CryptoKey, CryptoKey]; // an elliptic-curve JWK never gives raw bytes
  return { id: key.id, privateKey, publicKey };
}
