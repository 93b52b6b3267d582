import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { MemoryDisk } from "#lib/memory-disk.ts";
import { selfMadeCertificate } from "./self-made-certificate.ts";

test("the certificate is signed by its own key, names the agent, and has no end", async () => {
  const { certificate, key } = await selfMadeCertificate(new MemoryDisk(), "holdfast agent of rack1");
  const read = new X509Certificate(Buffer.from(certificate));
  assert.equal(read.subject, "CN=holdfast agent of rack1");
  assert.equal(read.issuer, read.subject);
  assert.ok(read.verify(read.publicKey));
  assert.match(read.validTo, /9999/);
  assert.match(String(key), /BEGIN PRIVATE KEY/);
});

test("the certificate stays the same over restarts, so that its fingerprint can be known", async () => {
  const disk = new MemoryDisk();
  const first = await selfMadeCertificate(disk, "holdfast agent of rack1");
  const second = await selfMadeCertificate(disk, "holdfast agent of rack1");
  assert.equal(Buffer.from(second.certificate).toString(), first.certificate);
  const other = await selfMadeCertificate(new MemoryDisk(), "holdfast agent of rack1");
  assert.notEqual(other.certificate, first.certificate);
});
