import { Writer } from "#lib/bytes.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import { type BmcCrypto, joined } from "./crypto.ts";

/** Everything that the two sides of one handshake have told each other. */
export interface Negotiated {
  readonly suite: CipherSuite;
  /** The password, filled up with zeros to 20 bytes. */
  readonly password: Uint8Array;
  readonly consoleId: number;
  readonly bmcId: number;
  readonly consoleRandom: Uint8Array;
  readonly bmcRandom: Uint8Array;
  readonly guid: Uint8Array;
  readonly role: number;
  readonly user: Uint8Array;
}

/** The codes by which both sides prove themselves, and the keys of the session. */
export interface SessionKeys {
  readonly suite: CipherSuite;
  /** Of RAKP 2, made by the BMC. */
  readonly bmcCode: Uint8Array;
  /** Of RAKP 3, made by the console. */
  readonly consoleCode: Uint8Array;
  /** Of RAKP 4: both have the same session key. */
  readonly agreedCode: Uint8Array;
  /** K1 signs packets. */
  readonly signingKey: Uint8Array;
  /** First 16 bytes of K2: encrypts payloads. */
  readonly encryptionKey: Uint8Array;
}

/** @source IPMI 2.0 §13.28.4 (RAKP codes), §13.31 (session integrity key), §13.32 (K1, K2) */
export function sessionKeys(crypto: BmcCrypto, n: Negotiated): SessionKeys {
  const { hash, checkBytes } = n.suite;
  const who = joined(Uint8Array.of(n.role, n.user.length), n.user);
  const byPassword = (...parts: readonly Uint8Array[]): Uint8Array => crypto.hmac(hash, n.password, joined(...parts));
  const consoleId = le32(n.consoleId);
  const bmcId = le32(n.bmcId);
  const sessionKey = byPassword(n.consoleRandom, n.bmcRandom, who);
  const agreed = crypto.hmac(hash, sessionKey, joined(n.consoleRandom, bmcId, n.guid));
  return {
    suite: n.suite,
    bmcCode: byPassword(consoleId, bmcId, n.consoleRandom, n.bmcRandom, n.guid, who),
    consoleCode: byPassword(n.bmcRandom, consoleId, who),
    agreedCode: agreed.subarray(0, checkBytes),
    signingKey: crypto.hmac(hash, sessionKey, new Uint8Array(20).fill(1)),
    encryptionKey: crypto.hmac(hash, sessionKey, new Uint8Array(20).fill(2)).subarray(0, 16),
  };
}

const le32 = (value: number): Uint8Array => new Writer(4).u32le(value).bytes();
