import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog as log } from "#lib/log.ts";
import { HeldDisk } from "../testing/held-disk.ts";
import { Lives, livesMax } from "./lives.ts";

const open = (disk: HeldDisk, present: string, sequence: number) =>
  Lives.open({ disk, present, log }, BigInt(sequence));
const text = ({ former }: Lives) => former.map(({ agent, sequence }) => `${agent} ${sequence}`);

test("a life that has reported is known to the next ones, with the sequence that it ended with", async () => {
  const disk = new HeldDisk();
  await (await open(disk, "a", 0)).keep();
  await (await open(disk, "b", 10)).keep();
  assert.deepEqual(text(await open(disk, "c", 25)), ["a 10", "b 25"]);
});

test("what the outbox counts in lives that do not report is not theirs who did", async () => {
  const disk = new HeldDisk();
  await (await open(disk, "a", 0)).keep();
  await open(disk, "cut off", 10);
  await open(disk, "cut off again", 20);
  assert.deepEqual(text(await open(disk, "b", 30)), ["a 10"]);
});

test("nothing is known of a life before it is durable, and it is written once", async () => {
  const disk = new HeldDisk();
  const lives = await open(disk, "a", 0);
  disk.broken = new Error("no space left on device");
  await assert.rejects(lives.keep(), /no space left/);
  disk.broken = undefined;
  await lives.keep();
  const before = disk.writes;
  await lives.keep();
  assert.equal(disk.writes, before);
  assert.deepEqual(text(await open(disk, "b", 5)), ["a 5"]);
});

test("the oldest are forgotten, and rows that cannot be read", async () => {
  const disk = new HeldDisk();
  for (let i = 1; i <= livesMax + 5; i++) await (await open(disk, `life ${i}`, i)).keep();
  await disk.write([{ table: "lives", key: `${livesMax}`.padStart(12, "0"), value: new Uint8Array([0xff]) }]);
  const { former } = await open(disk, "now", 100);
  assert.equal(former.length, livesMax - 1);
  assert.deepEqual([former[0]?.agent, former.at(-1)?.agent], ["life 6", `life ${livesMax + 5}`]);
});
