import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
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

  test(`${name}: writes that overlap are carried out in the order in which they were asked for`, async () => {
    await Promise.all(["1", "2", "3"].map((n) => disk.write([{ table: "o", key: "k", value: bytes(n) }])));
    assert.equal(text(disk.get("o", "k")), "3");
  });

  test(`${name}: what was read stays as it was when the key is written again`, async () => {
    await disk.write([{ table: "s", key: "k", value: bytes("old") }]);
    const read = disk.get("s", "k");
    await disk.write([{ table: "s", key: "k", value: bytes("new") }]);
    assert.equal(text(read), "old");
  });
}

test("lmdb: a write with a key that is too long changes nothing at all", async () => {
  await lmdb.write([{ table: "w", key: "k", value: bytes("before") }]);
  const write = lmdb.write([
    { table: "w", key: "k", value: bytes("after") },
    { table: "w", key: "x".repeat(1979), value: bytes("") },
  ]);
  await assert.rejects(write, /disk key of 1979 bytes in table w: 1 to 1978 can be stored/);
  assert.equal(text(lmdb.get("w", "k")), "before");
});

test("lmdb: a second process is refused while the first runs, and takes over when it was killed", async () => {
  const at = path.join(folder, "locked");
  const script = `import { LmdbDisk } from ${JSON.stringify(path.join(import.meta.dirname, "lmdb-disk.ts"))};
    new LmdbDisk(process.argv[1]); console.log("open"); setInterval(() => {}, 1000);`;
  const other = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script, at], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(other.stdout, "data");
  assert.throws(() => new LmdbDisk(at), new RegExp(`${at} is in use by process ${other.pid}: stop it first`));
  other.kill("SIGKILL");
  await once(other, "exit");
  await new LmdbDisk(at).close();
});

test("lmdb: what was written is there after opening again", async () => {
  const at = path.join(folder, "again");
  const first = new LmdbDisk(at);
  await first.write([{ table: "t", key: "k", value: bytes("kept") }]);
  await first.close();
  const second = new LmdbDisk(at);
  assert.equal(text(second.get("t", "k")), "kept");
  await second.close();
});
