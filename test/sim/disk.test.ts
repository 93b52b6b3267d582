import assert from "node:assert/strict";
import { test } from "node:test";
import { Seeded } from "#lib/seeded.ts";
import { SimDisk } from "./disk.ts";
import { Life } from "./life.ts";
import { Time } from "./time.ts";

async function written(count: number) {
  const time = new Time(new Seeded(1));
  const disk = new SimDisk(new Seeded(2), "disk");
  const life = new Life("agent", time);
  const own = disk.open(life);
  const bytes = (...value: number[]) => Uint8Array.from(value);
  for (let i = 1; i <= count; i++)
    void own.write([
      { table: "a", key: "last", value: bytes(i) },
      { table: "b", key: `${i}`, value: bytes(i) },
      { table: "b", key: `${i - 1}`, value: undefined },
    ]);
  await time.runUntil(10_000, () => {});
  const rows = () => ["a", "b"].map((table) => [...disk.present.entries(table)].map(([key, [value]]) => [key, value]));
  return { disk, life, time, rows };
}

test("a disk that loses its last writes is as it was before them, in all tables", async () => {
  const { disk, rows } = await written(5);
  disk.loseLast(2);
  assert.deepEqual(rows(), [[["last", 3]], [["3", 3]]]);
  disk.loseLast(1_000);
  assert.deepEqual(rows(), [[], []]);
});

test("a disk on which another copy was put has no writes to lose", async () => {
  const { disk, rows } = await written(2);
  disk.restore(disk.copy());
  disk.loseLast(1_000);
  assert.deepEqual(rows(), [[["last", 2]], [["2", 2]]]);
});

test("a torn disk is opened by nobody until its content is another one", async () => {
  const { disk, time, rows } = await written(2);
  disk.tear();
  assert.throws(() => disk.open(new Life("agent", time)), /MDB_CORRUPTED/);
  disk.restore([]);
  disk.open(new Life("agent", time));
  assert.deepEqual(rows(), [[], []]);
});

test("a life that is doomed ends in a wait for its disk, once something has happened in it", async () => {
  const { disk, life, time, rows } = await written(0);
  let isStruck = false;
  life.doom(3, () => {
    isStruck = true;
    life.end();
  });
  const own = disk.open(life);
  const write = async () => {
    for (let i = 1; i <= 5; i++) await own.write([{ table: "a", key: `${i}`, value: new Uint8Array(1) }]);
  };
  await Promise.race([write(), time.runUntil(time.nowMs + 1_000, () => {})]);
  assert.equal(isStruck, false, "nothing has happened");
  life.acts();
  void own.write([{ table: "a", key: "6", value: new Uint8Array(1) }]);
  void own.write([{ table: "a", key: "7", value: new Uint8Array(1) }]);
  void own.write([{ table: "a", key: "8", value: new Uint8Array(1) }]);
  await time.runUntil(time.nowMs + 1_000, () => {});
  assert.equal(isStruck, true);
  // Each has two waits: the fourth is after the second of them was made.
  const [made = []] = rows();
  assert.deepEqual(
    made
      .slice(5)
      .map(([key]) => key)
      .slice(0, 2),
    ["6", "7"],
  );
});
