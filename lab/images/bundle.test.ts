import assert from "node:assert/strict";
import { test } from "node:test";
import { bundleInstaller, forAnyCpu } from "./bundle.ts";

test("the installer is one small file, the same from the same sources, without fetch", async () => {
  const [one, two] = await Promise.all([bundleInstaller(), bundleInstaller()]);
  assert.deepEqual(Buffer.compare(one, two), 0);
  assert.ok(one.length < 400_000, `${one.length} bytes`);
  assert.doesNotMatch(new TextDecoder().decode(one), /new Headers\b/);
});

test("a heap that was made here says that it is Node's own, so that any CPU may start it; another form is not touched", () => {
  const made = Uint8Array.of(0x19, 0xda, 0x43, 0x01, 1, 7);
  assert.deepEqual(forAnyCpu(made), Uint8Array.of(0x19, 0xda, 0x43, 0x01, 0, 7));
  assert.equal(made[4], 1);
  for (const other of [Uint8Array.of(0x19, 0xda, 0x43, 0x01, 2), new Uint8Array(3)])
    assert.equal(forAnyCpu(other), undefined);
});
