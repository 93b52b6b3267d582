// One fixed shape of X.509 certificate, for a server that people recognise by its fingerprint: signed by itself, without
// extensions and without an end. It is so little that a library of X.509, with the twenty packages below it, would be more.
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { Disk } from "#lib/disk.ts";
import type { TlsMaterial } from "#lib/io/one-port.ts";

const table = "site-certificate";

/** The certificate that this agent made when it first needed one; kept, because people know its fingerprint. */
export async function selfMadeCertificate(disk: Disk, name: string): Promise<TlsMaterial> {
  const [key, certificate] = [disk.get(table, "key"), disk.get(table, "certificate")];
  if (key && certificate) return { key, certificate };
  const made = make(name);
  const encode = (text: string) => new TextEncoder().encode(text);
  await disk.write([
    { table, key: "key", value: encode(made.key) },
    { table, key: "certificate", value: encode(made.certificate) },
  ]);
  return made;
}

function make(name: string): { readonly key: string; readonly certificate: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const who = sequence(der(tag.set, sequence(der(tag.oid, commonName), der(tag.utf8, Buffer.from(name)))));
  const algorithm = sequence(der(tag.oid, ecdsaWithSha256));
  const always = sequence(der(tag.utcTime, Buffer.from(begin)), der(tag.generalizedTime, Buffer.from(noEnd)));
  // Its version is left out and so is 1, as there are no extensions (RFC 5280 §4.1.2.1).
  const told = sequence(
    der(tag.integer, serial()),
    algorithm,
    who,
    always,
    who,
    publicKey.export({ type: "spki", format: "der" }),
  );
  const signature = der(tag.bits, Buffer.concat([Buffer.of(0), sign("sha256", told, privateKey)]));
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    certificate: pem(sequence(told, algorithm, signature)),
  };
}

/** @source X.690 §8 */
const tag = {
  integer: 0x02,
  bits: 0x03,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;
/** 2.5.4.3 */
const commonName = Buffer.from("550403", "hex");
/** 1.2.840.10045.4.3.2, RFC 5758 §3.2 */
const ecdsaWithSha256 = Buffer.from("2a8648ce3d040302", "hex");
const begin = "700101000000Z";
/** RFC 5280 §4.1.2.5: no well-defined end. */
const noEnd = "99991231235959Z";

/** Positive, at most 20 octets (RFC 5280 §4.1.2.2), and without a leading zero that DER forbids. */
function serial(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = 1;
  return bytes;
}

/** Type, length, content; lengths of more than 64 KiB do not occur. @source X.690 §10.1 */
function der(type: number, content: Uint8Array): Buffer {
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(type, ...size), content]);
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => der(tag.sequence, Buffer.concat(parts));

const pem = (bytes: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${bytes.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
