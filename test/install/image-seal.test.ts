// The seal that the agent makes of a file is the one that the installer finds over the same bytes, and over no others.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { openImageFolder } from "#agent/io/image-folder.ts";
import { imageDigest } from "#installer/io/image.ts";
import { hex } from "#lib/bytes.ts";

// Larger than a piece that either side reads at once, and no multiple of one.
const content = randomBytes((9 << 20) + 3);
const sha256 = createHash("sha256").update(content).digest("hex");
let folder = "";

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "image-seal-"));
});
after(() => rm(folder, { recursive: true, force: true }));

async function sealed() {
  const images = await openImageFolder(folder);
  await writeFile(images.path(sha256), content);
  return await images.seal(sha256);
}

async function found(bytes: Uint8Array, key: Uint8Array): Promise<string> {
  const file = path.join(folder, "arrived");
  await writeFile(file, bytes);
  return await imageDigest({ file, sizeBytes: bytes.length, head: bytes.subarray(0, 512) }, { kind: "poly1305", key });
}

test("an installer finds the agent's seal over the file that the agent sealed", async () => {
  const { sha256: proven, seal } = await sealed();
  assert.equal(proven, sha256);
  assert.equal(await found(content, seal.key), hex(seal.tag));
});

test("one changed bit, a missing end and another key give other seals", async () => {
  const { seal } = await sealed();
  const changed = Uint8Array.from(content);
  changed[5_000_000]! ^= 1;
  for (const bytes of [changed, content.subarray(0, content.length - 1), new Uint8Array(0)])
    assert.notEqual(await found(bytes, seal.key), hex(seal.tag));
  assert.notEqual(await found(content, randomBytes(32)), hex(seal.tag));
});

test("every seal has a key of its own", async () => {
  assert.notDeepEqual((await sealed()).seal.key, (await sealed()).seal.key);
});
