import type { HashName } from "./cipher-suite.ts";

/** What a session needs of a cryptographic library. All calls are synchronous, on a few hundred bytes. */
export interface BmcCrypto {
  hmac(hash: HashName, key: Uint8Array, content: Uint8Array): Uint8Array;
  /** AES-128-CBC without padding. @param key 16 bytes @param iv 16 bytes @param plain a multiple of 16 bytes */
  encrypt(key: Uint8Array, iv: Uint8Array, plain: Uint8Array): Uint8Array;
  /** The reverse of `encrypt`; `cipher` is a multiple of 16 bytes. */
  decrypt(key: Uint8Array, iv: Uint8Array, cipher: Uint8Array): Uint8Array;
}

/** Whether two codes are the same, in a time that does not tell where they differ. */
export function sameCode(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number);
  return difference === 0;
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
