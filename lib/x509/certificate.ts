// X.509 certificates of the few shapes that we issue, signed with ECDSA and SHA-256. They are read by TLS, not by us.
import { parseIpv4 } from "../net/ipv4.ts";
import { bits, der, oid, sequence, tag } from "./der.ts";
import { ecdsaWithSha256, nameOf } from "./name.ts";

export type Use =
  /** Signs certificates of servers and clients, and of no other authority. */
  | { readonly kind: "authority" }
  /** Host names and IPv4 addresses under which a server is reached. */
  | { readonly kind: "server"; readonly names: readonly string[] }
  | { readonly kind: "client" };

export interface CertificateInit {
  /** From `serialOf`. */
  readonly serial: Uint8Array;
  readonly subject: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  readonly keyId: Uint8Array;
  readonly issuer: { readonly name: string; readonly keyId: Uint8Array };
  /** Wall-clock milliseconds, of which whole seconds are kept. */
  readonly fromMs: number;
  /** Absent: it has no end. */
  readonly untilMs?: number;
  readonly use: Use;
}

/** @returns DER. @source RFC 5280 §4.1 */
export function certificate(init: CertificateInit, sign: (told: Uint8Array) => Uint8Array): Uint8Array {
  const { serial, subject, issuer, publicKey, fromMs, untilMs } = init;
  const told = sequence(
    der(tag.constructed(0), der(tag.integer, Uint8Array.of(2))),
    der(tag.integer, serial),
    ecdsaWithSha256,
    nameOf(issuer.name),
    sequence(timeOf(fromMs), untilMs === undefined ? noEnd : timeOf(untilMs)),
    nameOf(subject),
    publicKey,
    der(tag.constructed(3), sequence(...extensionsOf(init))),
  );
  return sequence(told, ecdsaWithSha256, bits(sign(told)));
}

export const serialBytes = 16;

/**
 * Positive and without a leading zero that DER forbids. @source RFC 5280 §4.1.2.2
 * @param random as many bytes as `serialBytes`
 */
export function serialOf(random: Uint8Array): Uint8Array {
  const serial = Uint8Array.from(random);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}

/** Name of a key in certificates. @source RFC 7093 §2 (1) */
export const keyIdOf = (sha256OfKey: Uint8Array): Uint8Array => sha256OfKey.subarray(0, 20);

/** RFC 5280 §4.1.2.5: no well-defined end. */
const noEnd = der(tag.generalizedTime, new TextEncoder().encode("99991231235959Z"));
const generalizedFrom = 2050;

/** Two digits of the year up to 2049. @source RFC 5280 §4.1.2.5 */
function timeOf(ms: number): Uint8Array {
  const at = new Date(ms);
  const digits = `${at.toISOString().slice(0, 19).replace(/\D/g, "")}Z`;
  const isUtc = at.getUTCFullYear() < generalizedFrom;
  return der(isUtc ? tag.utcTime : tag.generalizedTime, new TextEncoder().encode(isUtc ? digits.slice(2) : digits));
}

const yes = der(tag.boolean, Uint8Array.of(0xff));
/** Bits of a key's usage, and how many at the end are unused. @source RFC 5280 §4.2.1.3 */
const digitalSignature = der(tag.bits, Uint8Array.of(7, 0x80));
const signsCertificates = der(tag.bits, Uint8Array.of(2, 0x04));
const serverAuth = oid(1, 3, 6, 1, 5, 5, 7, 3, 1);
const clientAuth = oid(1, 3, 6, 1, 5, 5, 7, 3, 2);

/** @param id last arc below 2.5.29. @source RFC 5280 §4.2 */
const extension = (id: number, content: Uint8Array, isCritical = false): Uint8Array =>
  sequence(oid(2, 5, 29, id), ...(isCritical ? [yes] : []), der(tag.octets, content));

function extensionsOf({ use, keyId, issuer }: CertificateInit): readonly Uint8Array[] {
  const keys = [extension(14, der(tag.octets, keyId)), extension(35, sequence(der(tag.primitive(0), issuer.keyId)))];
  if (use.kind === "authority") {
    const noneBelow = der(tag.integer, Uint8Array.of(0));
    return [extension(19, sequence(yes, noneBelow), true), extension(15, signsCertificates, true), ...keys];
  }
  const purpose = extension(37, sequence(use.kind === "server" ? serverAuth : clientAuth));
  const names = use.kind === "server" ? [extension(17, sequence(...use.names.map(alternativeName)))] : [];
  return [extension(15, digitalSignature, true), purpose, ...names, ...keys];
}

/** @source RFC 5280 §4.2.1.6 */
function alternativeName(name: string): Uint8Array {
  const address = parseIpv4(name);
  if (!address.ok) return der(tag.primitive(2), new TextEncoder().encode(name));
  const octets = [24, 16, 8, 0].map((shift) => (address.value >>> shift) & 0xff);
  return der(tag.primitive(7), Uint8Array.from(octets));
}
