import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryDisk } from "#lib/memory-disk.ts";
import { Seeded } from "#lib/seeded.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { SiteCredential } from "./credential.ts";
import { WrongTokens } from "./wrong-tokens.ts";

function place(disk = new MemoryDisk(), seed = 1) {
  const written: string[] = [];
  const file = {
    path: "/data/site-token",
    read: async () => written.at(-1),
    write: async (text: string) => void written.push(text),
  };
  const sha256 = (text: string) => `hash of ${text}`;
  return { written, disk, open: () => SiteCredential.open({ disk, random: new Seeded(seed), sha256, file }) };
}

test("the token is made at the first start and written once; the disk keeps its hash alone", async () => {
  const { written, disk, open } = place();
  const credential = await open();
  assert.match(written[0] ?? "", /^hfs_[0-9a-f]{64}\n$/);
  const token = written[0]!.trim();
  assert.ok(credential.isRight(token));
  for (const wrong of ["", "hfs_", `${token}0`, `hash of ${token}`]) assert.ok(!credential.isRight(wrong), wrong);
  const again = await place(disk, 2);
  assert.ok((await again.open()).isRight(token));
  assert.deepEqual([written.length, again.written], [1, []]);
  const kept = Array.from(disk.entries("site-credential"), ([, value]) => new TextDecoder().decode(value));
  assert.deepEqual(kept, [`hash of ${token}`]);
});

test("a new token makes the former one worthless, also after a restart", async () => {
  const { written, disk, open } = place();
  const credential = await open();
  await credential.rotate();
  const [former, present] = written.map((text) => text.trim());
  const restarted = await place(disk, 2).open();
  for (const c of [credential, restarted]) assert.deepEqual([c.isRight(former!), c.isRight(present!)], [false, true]);
});

test("a token whose file cannot be written leaves the former one good", async () => {
  const { written, disk, open } = place();
  await open();
  const file = { path: "x", read: async () => undefined, write: () => Promise.reject(new Error("disk full")) };
  const sha256 = (text: string) => `hash of ${text}`;
  const credential = await SiteCredential.open({ disk, random: new Seeded(2), sha256, file });
  await assert.rejects(credential.rotate(), /disk full/);
  assert.ok(credential.isRight(written[0]!.trim()));
});

test("an address with five wrong tokens is not listened to for the rest of a minute; others are", () => {
  const clock = new VirtualClock();
  const wrong = new WrongTokens(clock);
  for (let i = 0; i < 5; i++) {
    wrong.check("10.0.0.9");
    wrong.note("10.0.0.9");
    clock.advance(1000);
  }
  assert.throws(() => wrong.check("10.0.0.9"), { reason: "TOO_MANY_WRONG_TOKENS", message: /try again in 55 s/ });
  wrong.check("10.0.0.8");
  clock.advance(55_000);
  wrong.check("10.0.0.9");
});

test("what is remembered of wrong tokens is bounded, whoever sends them", () => {
  const wrong = new WrongTokens(new VirtualClock());
  for (let i = 0; i < 5; i++) wrong.note("first");
  for (let i = 0; i < 1024; i++) wrong.note(`other ${i}`);
  wrong.check("first");
});
