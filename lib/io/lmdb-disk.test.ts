import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import type { Disk } from "../disk.ts";
import { MemoryDisk } from "../memory-disk.ts";
import { LmdbDisk } from "./lmdb-disk.ts";

const folder = mkdtempSync(path.join(tmpdir(), "holdfast-disk-"));
after(() => rmSync(folder, { recursive: true }));

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined) => value && new TextDecoder().decode(value);

const lmdb = new LmdbDisk(path.join(folder, "conformance"));
after(() => lmdb.close());
const disks: Record<string, Disk> = { memory: new MemoryDisk(), lmdb };

for (const [name, disk] of Object.entries(disks)) {
  test(`${name}: entries come in key order and only with the prefix`, async () => {
    await disk.write(["b/2", "a/1", "b/1", "c"].map((key) => ({ table: "t", key, value: bytes(key) })));
    assert.deepEqual(
      Array.from(disk.entries("t", "b/"), ([key, value]) => [key, text(value)]),
      [
        ["b/1", "b/1"],
        ["b/2", "b/2"],
      ],
    );
  });

  test(`${name}: a write without value deletes, and other tables keep theirs`, async () => {
    await disk.write([
      { table: "x", key: "k", value: bytes("1") },
      { table: "y", key: "k", value: bytes("2") },
    ]);
    await disk.write([{ table: "x", key: "k", value: undefined }]);
    assert.equal(disk.get("x", "k"), undefined);
    assert.equal(text(disk.get("y", "k")), "2");
  });
}

test("lmdb: what was written is there after opening again", async () => {
  const at = path.join(folder, "again");
  const first = new LmdbDisk(at);
  await first.write([{ table: "t", key: "k", value: bytes("kept") }]);
  await first.close();
  const second = new LmdbDisk(at);
  assert.equal(text(second.get("t", "k")), "kept");
  await second.close();
});
