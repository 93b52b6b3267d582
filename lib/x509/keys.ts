import { equalBytes, fromHex } from "../bytes.ts";
import { checked } from "../result.ts";

/** A key pair of ECDSA over P-256. */
export interface KeyPair {
  /** PKCS #8, DER. */
  readonly privateKey: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
}

/** What makes keys, signatures and hashes, handed in. Signatures are ECDSA with SHA-256, DER. */
export interface Keys {
  newPair(): KeyPair;
  sign(privateKey: Uint8Array, told: Uint8Array): Uint8Array;
  /** @param publicKey one that `isP256` lets through */
  isSignedBy(publicKey: Uint8Array, told: Uint8Array, signature: Uint8Array): boolean;
  sha256(bytes: Uint8Array): Uint8Array;
}

/** What a public key of P-256 begins with, up to and including the mark of an uncompressed point. @source RFC 5480 §2 */
const p256 = checked(fromHex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"));
const pointBytes = 64;

/** Whether these bytes have the form of such a key; whether the point is on the curve shows when it is used. */
export const isP256 = (publicKey: Uint8Array): boolean =>
  publicKey.length === p256.length + pointBytes && equalBytes(publicKey.subarray(0, p256.length), p256);
