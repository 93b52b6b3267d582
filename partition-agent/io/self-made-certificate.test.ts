import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { MemoryDisk } from "#lib/memory-disk.ts";
import { selfMadeCertificate } from "./self-made-certificate.ts";

const init = { subject: "holdfast agent of rack1", names: ["10.0.0.1", "rack1.example"] };

test("the certificate is signed by its own key, names the agent, is for its names, and has no end", async () => {
  const { certificate, key } = await selfMadeCertificate(new MemoryDisk(), init);
  const read = new X509Certificate(Buffer.from(certificate));
  assert.equal(read.subject, "CN=holdfast agent of rack1");
  assert.equal(read.issuer, read.subject);
  assert.ok(read.verify(read.publicKey));
  assert.ok(read.checkIP("10.0.0.1") && read.checkHost("rack1.example"));
  assert.equal(read.checkIP("10.0.0.2"), undefined);
  assert.match(read.validTo, /9999/);
  assert.match(String(key), /BEGIN PRIVATE KEY/);
});

test("the certificate stays the same over restarts, so that its fingerprint can be known, until its names are others", async () => {
  const disk = new MemoryDisk();
  const first = await selfMadeCertificate(disk, init);
  const second = await selfMadeCertificate(disk, init);
  assert.equal(Buffer.from(second.certificate).toString(), first.certificate);
  const other = await selfMadeCertificate(new MemoryDisk(), init);
  assert.notEqual(other.certificate, first.certificate);
  const moved = await selfMadeCertificate(disk, { ...init, names: ["10.0.0.2"] });
  assert.ok(new X509Certificate(Buffer.from(moved.certificate)).checkIP("10.0.0.2"));
});
