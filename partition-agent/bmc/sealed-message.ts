// The payload of a packet inside a session (IPMI 2.0 §13.29):
//
//   iv[16] AES-CBC(message 01 02 … n n8)      padded to a multiple of 16
import { fail, ok, type Result } from "#lib/result.ts";
import { type BmcCrypto, joined, sameCode } from "./crypto.ts";
import { encodeSigned, type SessionPacket } from "./rmcp.ts";
import type { SessionKeys } from "./session-keys.ts";

export interface SealedHeader {
  readonly payloadType: number;
  /** The receiver's. */
  readonly sessionId: number;
  /** Rises with every packet that is sent, repeats included; never 0. */
  readonly sequence: number;
  /** 16 random bytes. */
  readonly iv: Uint8Array;
}

export function seal(crypto: BmcCrypto, keys: SessionKeys, header: SealedHeader, message: Uint8Array): Uint8Array {
  const pad = (16 - ((message.length + 1) % 16)) % 16;
  const padding = Uint8Array.from({ length: pad + 1 }, (_, i) => (i === pad ? pad : i + 1));
  const encrypted = joined(header.iv, crypto.encrypt(keys.encryptionKey, header.iv, joined(message, padding)));
  return encodeSigned(header, encrypted, (content) =>
    crypto.hmac(keys.suite.hash, keys.signingKey, content).subarray(0, keys.suite.checkBytes),
  );
}

/** Checks the code before it looks at anything else. */
export function unseal(crypto: BmcCrypto, keys: SessionKeys, packet: SessionPacket): Result<Uint8Array> {
  const { checkBytes, hash } = keys.suite;
  if (!packet.isAuthenticated || !packet.isEncrypted) return fail("BMC packet: not authenticated and encrypted");
  if (packet.trailer.length < checkBytes + 2) return fail("BMC packet: no room for its code");
  const covered = packet.body.subarray(0, packet.body.length - checkBytes);
  const code = packet.body.subarray(packet.body.length - checkBytes);
  const expected = crypto.hmac(hash, keys.signingKey, covered).subarray(0, checkBytes);
  if (!sameCode(code, expected)) return fail("BMC packet: its code does not fit");
  const { payload } = packet;
  if (payload.length < 32 || payload.length % 16 !== 0)
    return fail(`BMC packet: encrypted payload of ${payload.length} bytes, a multiple of 16 from 32 on is wanted`);
  const plain = crypto.decrypt(keys.encryptionKey, payload.subarray(0, 16), payload.subarray(16));
  const pad = plain[plain.length - 1] as number;
  if (pad > 15) return fail(`BMC packet: padding of ${pad} bytes exceeds 15`);
  return ok(plain.subarray(0, plain.length - 1 - pad));
}
