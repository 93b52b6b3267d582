// What the disk promises when its filesystem is full, or fails below LMDB.
import assert from "node:assert/strict";
import { truncateSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import type { Change } from "../disk.ts";
import { LmdbDisk } from "./lmdb-disk.ts";
import { cannotMount, SmallFilesystem } from "./testing/small-filesystem.ts";

const mebibyte = 2 ** 20;
const put = (key: string, length: number, table = "t"): Change => ({
  table,
  key,
  value: new Uint8Array(length).fill(7),
});
const keysOf = (disk: LmdbDisk, table = "t") => Array.from(disk.entries(table), ([key]) => key);

interface Place {
  readonly small: SmallFilesystem;
  readonly at: string;
  readonly disk: LmdbDisk;
}

async function onSmall(
  work: (place: Place) => Promise<void>,
  options: { readonly mapBytes?: number } = {},
): Promise<void> {
  const small = new SmallFilesystem(32);
  const at = path.join(small.folder, "state");
  const disk = new LmdbDisk(at, options);
  try {
    await work({ small, at, disk });
  } finally {
    await disk.close();
    small.remove();
  }
}

/** Opens what a disk that is gone has left. */
async function reopened(at: string, look: (disk: LmdbDisk) => void): Promise<void> {
  const disk = new LmdbDisk(at);
  look(disk);
  await disk.close();
}

describe("a full disk", { skip: cannotMount() }, () => {
  test("a write that has no room is rejected with the reason, reads go on, and with room again writes last", () =>
    onSmall(async ({ small, at, disk }) => {
      await disk.write([put("before", 1_000)]);
      small.fill();
      for (const table of ["t", "new"])
        await assert.rejects(disk.write([put("small", 10, table), put("large", 8 * mebibyte, table)]), {
          message: `${path.join(at, "data.mdb")} cannot be written: ENOSPC: no space left on device, write`,
        });
      assert.deepEqual(keysOf(disk), ["before"]);
      assert.equal(disk.get("t", "before")?.length, 1_000);
      assert.deepEqual(keysOf(disk, "new"), []);
      small.clear();
      await disk.write([put("after", 8 * mebibyte)]);
      await disk.close();
      await reopened(at, (again) => assert.deepEqual(keysOf(again), ["after", "before"]));
    }));

  test("until it is really full every write is there whole or was rejected, and those after it find their room again", () =>
    onSmall(async ({ small, at, disk }) => {
      small.fill();
      const outcomes = await Promise.all(
        Array.from({ length: 300 }, (_, i) =>
          disk.write([put(`a/${i}`, 50_000), put(`b/${i}`, 50_000)]).then(
            () => i,
            () => undefined,
          ),
        ),
      );
      const written = outcomes.filter((i) => i !== undefined);
      assert(written.length > 0 && written.length < 300, `${written.length} of 300 were written`);
      const expected = written.flatMap((i) => [`a/${i}`, `b/${i}`]).sort();
      assert.deepEqual(keysOf(disk), expected);
      small.clear();
      await disk.write([put("c", 50_000)]);
      await disk.close();
      await reopened(at, (again) => assert.deepEqual(keysOf(again), [...expected, "c"]));
    }));

  test("what overwrites and deletes goes on for as long as it likes: its room was made beforehand", () =>
    onSmall(async ({ small, disk }) => {
      await disk.write(Array.from({ length: 100 }, (_, i) => put(`k${i}`, 5_000)));
      small.fill();
      for (let i = 0; i < 500; i++) await disk.write([put(`k${i % 100}`, 5_000), put("one", i)]);
      await disk.write([{ table: "t", key: "one", value: undefined }]);
      assert.equal(keysOf(disk).length, 100);
    }));

  test("a disk that has no room for its first write cannot be opened, and says so", async () => {
    const small = new SmallFilesystem(2);
    const at = path.join(small.folder, "state");
    assert.throws(() => new LmdbDisk(at), /data\.mdb cannot be written: ENOSPC: no space left on device, write/);
    small.remove();
  });

  test("data that has reached its limit takes no more, and what is there can be overwritten", () =>
    onSmall(
      async ({ disk }) => {
        await disk.write([put("k", 2 * mebibyte)]);
        await assert.rejects(
          disk.write([put("l", 4 * mebibyte)]),
          /data\.mdb cannot be written: it may be 10 MiB long/,
        );
        await disk.write([put("k", 1)]);
        assert.deepEqual(keysOf(disk), ["k"]);
      },
      { mapBytes: 10 * mebibyte },
    ));

  test("a write that fails below LMDB is rejected as well, with all that share its commit, and the disk goes on", () =>
    onSmall(async ({ small, at, disk }) => {
      await disk.write([put("before", 1_000)]);
      truncateSync(path.join(at, "data.mdb"), 128 * 1_024); // the room that was made is taken away
      small.fill();
      for (let round = 0; round < 3; round++) {
        const writes = ["x", "y"].map((key) => disk.write([put(key, 200_000)]));
        const outcomes = await Promise.allSettled([...writes, disk.write([put("before", 2_000)])]);
        for (const outcome of outcomes)
          assert.match(
            String((outcome as PromiseRejectedResult).reason),
            /data\.mdb cannot be written: Input\/output error/,
          );
        assert.deepEqual(keysOf(disk), ["before"]);
        assert.equal(disk.get("t", "before")?.length, 1_000);
      }
      small.clear();
      await disk.write([put("x", 200_000)]);
      await disk.close();
      await reopened(at, (again) => assert.deepEqual(keysOf(again), ["before", "x"]));
    }));
});
