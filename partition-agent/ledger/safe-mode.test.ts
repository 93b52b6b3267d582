import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type Log, silentLog } from "#lib/log.ts";
import { MemoryDisk } from "#lib/memory-disk.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { Ledger } from "./ledger.ts";
import { SafeMode } from "./safe-mode.ts";

class NamedDisk extends MemoryDisk {
  override identity = "first";
}

const open = async (disk: NamedDisk, ended = () => {}) => {
  const alarms: string[] = [];
  const alarm = (event: string) => void alarms.push(event);
  const log: Log = { ...silentLog, warn: alarm, error: alarm };
  const clock = new VirtualClock();
  const ledger = new Ledger(disk, silentLog, () => {});
  const safeMode = await SafeMode.open({ disk, ledger, clock, log, ended });
  const stop = new AbortController();
  const pass = async (ms: number) => {
    clock.advance(ms);
    await turn();
  };
  return { ledger, safeMode, alarms, pass, stop, run: () => void safeMode.run(stop.signal) };
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

test("an agent that knows its ledger and its disk acts half a minute after its start, also cut off", async () => {
  let ends = 0;
  const { safeMode, alarms, pass, run } = await open(await used(), () => ends++);
  run();
  await pass(29_999);
  assert.match(
    safeMode.why ?? "",
    /^central to be heard, for at most 30 s after a start: the disk may have been set back$/,
  );
  await pass(1);
  assert.deepEqual([safeMode.why, ends, alarms], [undefined, 1, []]);
});

test("it acts at once when central has told all that it knows, and is woken for it once", async () => {
  let ends = 0;
  const { safeMode, alarms, pass, run } = await open(await used(), () => ends++);
  run();
  await safeMode.refreshed();
  assert.equal(safeMode.why, undefined);
  await pass(30_000);
  assert.deepEqual([safeMode.why, ends, alarms], [undefined, 1, []]);
});

test("what is more than caution does not end by itself", async () => {
  const disk = await used();
  const displaced = await open(disk);
  displaced.run();
  displaced.safeMode.displaced();
  disk.identity = "second";
  const copied = await open(disk);
  copied.run();
  for (const { pass, safeMode } of [displaced, copied]) {
    await pass(3_600_000);
    assert.notEqual(safeMode.why, undefined);
  }
});

test("an agent that stops while it is cautious begins nothing", async () => {
  let ends = 0;
  const { stop, pass, run } = await open(await used(), () => ends++);
  run();
  stop.abort();
  await pass(30_000);
  assert.equal(ends, 0);
});

test("a disk that central knows to be set back is not trusted, in every life until central was heard", async () => {
  const disk = await used();
  const { safeMode, alarms, pass, run } = await open(disk);
  run();
  await safeMode.setBack();
  await pass(30_000);
  assert.match(safeMode.why ?? "", /the agent's disk was set back/);
  assert.deepEqual(alarms, ["safe-mode"]);
  const again = await open(disk);
  assert.ok(again.safeMode.isCopy);
  await again.safeMode.refreshed();
  assert.ok(!(await open(disk)).safeMode.isCopy);
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
  assert.ok(!(await open(disk)).safeMode.isCopy);
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
  assert.doesNotMatch((await open(disk)).safeMode.why ?? "", /unreadable/);
});
