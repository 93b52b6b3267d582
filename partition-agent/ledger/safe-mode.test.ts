import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#lib/log.ts";
import { MemoryDisk } from "#lib/memory-disk.ts";
import { Ledger } from "./ledger.ts";
import { SafeMode } from "./safe-mode.ts";

class NamedDisk extends MemoryDisk {
  override identity = "first";
}

const open = async (disk: NamedDisk, ended = () => {}) => {
  const ledger = new Ledger(disk, silentLog, () => {});
  return { ledger, safeMode: await SafeMode.open({ disk, ledger, log: silentLog, ended }) };
};

/** A disk whose ledger was filled once. */
async function used(): Promise<NamedDisk> {
  const disk = new NamedDisk();
  const { ledger, safeMode } = await open(disk);
  await ledger.applySnapshot({ history: "h", revision: 1n }, []);
  await safeMode.refreshed();
  return disk;
}

test("an agent that never heard central does nothing that cannot be taken back, until it has", async () => {
  let ends = 0;
  const { safeMode } = await open(new NamedDisk(), () => ends++);
  assert.equal(safeMode.why, "central to be heard for the first time");
  await safeMode.refreshed();
  await safeMode.refreshed();
  assert.deepEqual([safeMode.why, ends], [undefined, 1]);
});

test("an agent that knows its ledger and its disk is free to act at once, also cut off", async () => {
  assert.equal((await open(await used())).safeMode.why, undefined);
});

test("a disk that is a copy is not trusted, in every life until central was heard", async () => {
  const disk = await used();
  disk.identity = "second";
  const { safeMode } = await open(disk);
  assert.match(safeMode.why ?? "", /the agent's disk is a copy/);
  assert.ok(safeMode.isCopy);
  const again = await open(disk);
  assert.match(again.safeMode.why ?? "", /the agent's disk is a copy/);
  await again.safeMode.refreshed();
  assert.equal((await open(disk)).safeMode.why, undefined);
});

test("an agent that is told another history does nothing that cannot be taken back until somebody accepts it", async () => {
  const { ledger, safeMode } = await open(await used());
  await ledger.applySnapshot({ history: "h2", revision: 1n }, []);
  await safeMode.refreshed();
  assert.match(safeMode.why ?? "", /central was restored or made anew: it tells history h2, the agent acts on h$/);
  await ledger.accept("h2");
  assert.equal(safeMode.why, undefined);
});

test("an agent beside which another one is connected does nothing that cannot be taken back until it is let in", async () => {
  const { safeMode } = await open(await used());
  safeMode.displaced();
  assert.match(safeMode.why ?? "", /another one is connected under its identity/);
  await safeMode.refreshed();
  assert.equal(safeMode.why, undefined);
});

test("a ledger with unreadable rows is not trusted until a full set has come", async () => {
  const disk = await used();
  await disk.write([{ table: "ledger-2", key: "machine/x", value: new Uint8Array([0xff]) }]);
  const { ledger, safeMode } = await open(disk);
  assert.match(safeMode.why ?? "", /unreadable/);
  await ledger.applySnapshot({ history: "h", revision: 2n }, []);
  await safeMode.refreshed();
  assert.equal((await open(disk)).safeMode.why, undefined);
});
