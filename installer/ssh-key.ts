import { Writer } from "#lib/bytes.ts";

/** An Ed25519 key pair as raw bytes, 32 each. */
export interface Ed25519Key {
  readonly seed: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** One line as in ssh_host_ed25519_key.pub. @source RFC 8709 §4 */
export const publicKeyLine = (key: Ed25519Key, comment: string): string =>
  `ssh-ed25519 ${base64(publicBlob(key))} ${comment}\n`;

/**
 * The private key file that sshd reads, without a passphrase.
 * @param check four random bytes, which the format repeats to detect a wrong passphrase
 * @source OpenSSH PROTOCOL.key
 */
export function privateKeyFile(key: Ed25519Key, comment: string, check: Uint8Array): string {
  const secret = new Writer().put(check).put(check);
  put(secret, text("ssh-ed25519"), key.publicKey, join(key.seed, key.publicKey), text(comment));
  for (let pad = 1; secret.length % 8 !== 0; pad++) secret.u8(pad);
  const file = new Writer().put(text("openssh-key-v1\0"));
  put(file, text("none"), text("none"), new Uint8Array(0));
  put(file.u32(1), publicBlob(key), secret.bytes());
  const lines = base64(file.bytes()).match(/.{1,70}/g) ?? [];
  return ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join("\n");
}

function publicBlob(key: Ed25519Key): Uint8Array {
  const blob = new Writer();
  put(blob, text("ssh-ed25519"), key.publicKey);
  return blob.bytes();
}

/** Each with its length before it. */
function put(writer: Writer, ...values: readonly Uint8Array[]): void {
  for (const value of values) writer.u32(value.length).put(value);
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const join = (a: Uint8Array, b: Uint8Array): Uint8Array => new Writer().put(a).put(b).bytes();
const base64 = (bytes: Uint8Array): string => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
