import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { ecdsaKeys as keys } from "../io/ecdsa-keys.ts";
import { Seeded } from "../seeded.ts";
import { type CertificateInit, certificate, keyIdOf, serialBytes, serialOf } from "./certificate.ts";
import { certificatePem, certificatesOf } from "./pem.ts";

const random = new Seeded(7);
const authorityPair = keys.newPair();
const leafPair = keys.newPair();
const authorityId = keyIdOf(keys.sha256(authorityPair.publicKey));
const made = (init: Partial<CertificateInit>): X509Certificate => {
  const usual: CertificateInit = {
    serial: serialOf(random.bytes(serialBytes)),
    subject: "leaf",
    publicKey: leafPair.publicKey,
    keyId: keyIdOf(keys.sha256(leafPair.publicKey)),
    issuer: { name: "authority", keyId: authorityId },
    fromMs: Date.UTC(2026, 0, 1),
    untilMs: Date.UTC(2026, 0, 31),
    use: { kind: "client" },
  };
  const sign = (told: Uint8Array) => keys.sign(authorityPair.privateKey, told);
  return new X509Certificate(certificate({ ...usual, ...init }, sign));
};
const authority = made({
  subject: "authority",
  publicKey: authorityPair.publicKey,
  keyId: authorityId,
  use: { kind: "authority" },
});

test("OpenSSL reads an authority as one, and what it signed as signed by it", () => {
  assert.ok(authority.ca);
  assert.ok(authority.checkIssued(authority));
  const leaf = made({});
  assert.ok(!leaf.ca);
  assert.ok(leaf.checkIssued(authority));
  assert.ok(leaf.verify(authority.publicKey));
  assert.deepEqual([leaf.subject, leaf.issuer], ["CN=leaf", "CN=authority"]);
});

test("a certificate of a server is for its names and addresses, one of a client for none, and each for its use alone", () => {
  const server = made({ use: { kind: "server", names: ["central.example", "10.0.0.1"] } });
  assert.ok(server.checkHost("central.example"));
  assert.ok(server.checkIP("10.0.0.1"));
  assert.equal(server.checkHost("other.example"), undefined);
  assert.equal(server.checkIP("10.0.0.2"), undefined);
  assert.deepEqual(server.keyUsage, ["1.3.6.1.5.5.7.3.1"]);
  assert.deepEqual(made({}).keyUsage, ["1.3.6.1.5.5.7.3.2"]);
  assert.equal(made({}).subjectAltName, undefined);
});

test("times before and after 2050 are read as they were meant, and no end as none", () => {
  const { validFrom, validTo } = made({ fromMs: Date.UTC(2049, 11, 31, 23, 59, 59, 999), untilMs: Date.UTC(2050, 0) });
  assert.deepEqual([validFrom, validTo], ["Dec 31 23:59:59 2049 GMT", "Jan  1 00:00:00 2050 GMT"]);
});

test("a serial is positive and of the same length, whatever was drawn", () => {
  for (const byte of [0x00, 0x7f, 0x80, 0xff]) {
    const { serialNumber } = made({ serial: serialOf(new Uint8Array(serialBytes).fill(byte)) });
    assert.equal(serialNumber.length, 2 * serialBytes);
  }
});

test("certificates of a chain in PEM are read in their order, and a text without any is refused", () => {
  const leaf = made({});
  const text = `a word before\n${certificatePem(leaf.raw)}\n${authority.toString()}`;
  const read = certificatesOf(text);
  assert.deepEqual(read.ok && read.value.map((c) => Buffer.from(c)), [leaf.raw, authority.raw]);
  assert.equal(certificatePem(leaf.raw), leaf.toString());
  assert.ok(!certificatesOf("nothing").ok);
  assert.ok(!certificatesOf("-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----").ok);
});
