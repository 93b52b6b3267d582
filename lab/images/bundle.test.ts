import assert from "node:assert/strict";
import { test } from "node:test";
import { bundleInstaller, snapshotMarkOffset } from "./bundle.ts";

test("the installer is one small file, the same from the same sources, without fetch", async () => {
  const [one, two] = await Promise.all([bundleInstaller(), bundleInstaller()]);
  assert.deepEqual(Buffer.compare(one, two), 0);
  assert.ok(one.length < 400_000, `${one.length} bytes`);
  assert.doesNotMatch(new TextDecoder().decode(one), /new Headers\b/);
});

test("the mark of a snapshot is behind version, architecture and platform", () => {
  const text = (t: string): number[] => [t.length, 0, 0, 0, 0, 0, 0, 0, ...new TextEncoder().encode(t)];
  const snapshot = Uint8Array.from([1, 2, 3, 4, 1, ...text("20.20.2"), ...text("x64"), ...text("linux"), 9, 9, 9, 9]);
  assert.equal(snapshotMarkOffset(snapshot), 44);
  assert.equal(snapshotMarkOffset(snapshot.subarray(0, 46)), undefined);
  assert.equal(snapshotMarkOffset(new Uint8Array(3)), undefined);
});
