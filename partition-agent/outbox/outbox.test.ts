import assert from "node:assert/strict";
import { test } from "node:test";
import { type Log, silentLog } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { HeldDisk } from "../testing/held-disk.ts";
import { Outbox } from "./outbox.ts";

let ids = 0;
const random: Random = { bytes: (n) => new Uint8Array(n), below: () => 0, uuid: () => `outbox-${++ids}` };
const bytes = (text: string) => new TextEncoder().encode(text);
const fact = (id: string, text: string) => ({ kind: "machine", id, value: bytes(text), seenMs: 0 });

async function opened(disk = new HeldDisk(), limits: Parameters<typeof Outbox.open>[4] = {}) {
  const events: string[] = [];
  const log: Log = { ...silentLog, error: (e) => void events.push(e) };
  const rings = { count: 0 };
  const outbox = await Outbox.open(disk, random, log, () => void rings.count++, limits);
  const pending = () => outbox.pending(100).map((e) => `${e.sequence} ${e.id} ${new TextDecoder().decode(e.value)}`);
  return { disk, outbox, events, rings, pending };
}

test("entries leave in order of sequence, and only the latest of a subject is kept", async () => {
  const { disk, outbox, pending, rings } = await opened();
  await outbox.put(fact("a", "1"));
  await outbox.put(fact("b", "1"));
  await outbox.put(fact("a", "2"));
  assert.deepEqual(pending(), ["2 b 1", "3 a 2"]);
  assert.equal(rings.count, 3);
  assert.equal([...disk.entries("outbox")].length, 2);
});

test("what is acknowledged is forgotten, here and on disk", async () => {
  const { disk, outbox, pending } = await opened();
  for (const id of ["a", "b", "c"]) await outbox.put(fact(id, "1"));
  await outbox.acknowledge(2n);
  assert.deepEqual(pending(), ["3 c 1"]);
  assert.deepEqual((await opened(disk)).pending(), ["3 c 1"]);
  const before = disk.writes;
  await outbox.acknowledge(2n);
  assert.equal(disk.writes, before, "an acknowledgement of nothing new writes nothing");
});

test("after a restart the outbox has its identity, its entries, and goes on counting", async () => {
  const { disk, outbox } = await opened();
  await outbox.put(fact("a", "1"));
  await outbox.put(fact("a", "2"));
  await outbox.acknowledge(2n);
  const again = await opened(disk);
  assert.equal(again.outbox.id, outbox.id);
  assert.equal(again.outbox.size, 0);
  await again.outbox.put(fact("b", "1"));
  assert.deepEqual(again.pending(), ["3 b 1"], "an acknowledged sequence is never used again");
});

test("nothing is pending before it is durable, and what it is about is written with it", async () => {
  const { disk, outbox, pending } = await opened();
  disk.hold();
  const put = outbox.put(fact("a", "1"), [{ table: "observed", key: "a", value: bytes("1") }]);
  assert.deepEqual(pending(), []);
  disk.release();
  await put;
  assert.deepEqual(pending(), ["1 a 1"]);
  assert.ok(disk.get("observed", "a"));
});

test("facts of one subject that are put in at the same time leave only the last one", async () => {
  const { disk, outbox, pending } = await opened();
  disk.hold();
  const puts = ["1", "2", "3"].map((text) => outbox.put(fact("a", text)));
  disk.release();
  await Promise.all(puts);
  assert.deepEqual(pending(), ["3 a 3"]);
  assert.deepEqual((await opened(disk)).pending(), ["3 a 3"]);
});

test("an acknowledgement that crosses a newer fact of the subject leaves the newer one", async () => {
  const { disk, outbox, pending } = await opened();
  await outbox.put(fact("a", "1"));
  disk.hold();
  const put = outbox.put(fact("a", "2"));
  const acknowledged = outbox.acknowledge(1n);
  disk.release();
  await Promise.all([put, acknowledged]);
  assert.deepEqual(pending(), ["2 a 2"]);
  assert.deepEqual((await opened(disk)).pending(), ["2 a 2"]);
});

test("a fact that the disk did not take leaves the former one, and its sequence is not used again", async () => {
  const { disk, outbox, pending } = await opened();
  await outbox.put(fact("a", "1"));
  disk.broken = new Error("no space left on device");
  await assert.rejects(outbox.put(fact("a", "2")), /no space left/);
  assert.deepEqual(pending(), ["1 a 1"]);
  disk.broken = undefined;
  await outbox.put(fact("a", "3"));
  assert.deepEqual(pending(), ["3 a 3"]);
  assert.deepEqual((await opened(disk)).pending(), ["3 a 3"]);
});

test("a batch ends at its limits, and a large first entry goes alone", async () => {
  const { outbox } = await opened();
  for (const id of ["a", "b", "c"]) await outbox.put(fact(id, "12345"));
  assert.equal(outbox.pending(2).length, 2);
  assert.equal(outbox.pending(10, 10).length, 2);
  assert.equal(outbox.pending(10, 3).length, 1);
});

test("what central refuses is kept aside with the reason, within a limit, and blocks nothing", async () => {
  const { disk, outbox, pending, events } = await opened();
  await outbox.put(fact("a", "1"));
  await outbox.put(fact("b", "1"));
  await outbox.acknowledge(2n, [{ sequence: 1n, reason: "machine a belongs to partition p2" }]);
  assert.deepEqual(pending(), []);
  const kept = (await opened(disk)).outbox.rejected();
  assert.deepEqual(
    kept.map(({ entry, reason }) => `${entry.id}: ${reason}`),
    ["a: machine a belongs to partition p2"],
  );
  assert.deepEqual(events, ["report-rejected"]);
  for (let i = 0; i < 300; i++) {
    await outbox.put(fact("a", `${i}`));
    await outbox.acknowledge(BigInt(i + 3), [{ sequence: BigInt(i + 3), reason: "no" }]);
  }
  assert.equal(outbox.rejected().length, 256);
});

test("an outbox that is an older copy of itself takes a new name, so that nothing new passes for a repetition", async () => {
  const { disk, outbox, pending, events } = await opened();
  await outbox.put(fact("a", "1"));
  const former = outbox.id;
  await outbox.acknowledge(900n);
  assert.notEqual(outbox.id, former);
  assert.deepEqual(pending(), ["1 a 1"]);
  assert.deepEqual(events, ["outbox-has-a-new-identity"]);
  assert.equal((await opened(disk)).outbox.id, outbox.id);
});

test("damaged rows are named and dropped, and their sequences are not used again", async () => {
  const { disk, outbox } = await opened();
  await outbox.put(fact("a", "1"));
  await outbox.put(fact("b", "1"));
  await disk.write([{ table: "outbox", key: "00000000000000000002", value: new Uint8Array([0xff]) }]);
  const again = await opened(disk);
  assert.deepEqual(again.pending(), ["1 a 1"]);
  assert.deepEqual(again.events, ["outbox-entry-damaged"]);
  await again.outbox.put(fact("b", "2"));
  assert.deepEqual(again.pending(), ["1 a 1", "3 b 2"]);
  assert.deepEqual((await opened(disk)).events, []);
});

const trace = (id: string, text: string) => ({ ...fact(id, text), kind: "audit" });
const asideOf = (outbox: Outbox) => outbox.rejected().map(({ entry, reason }) => `${entry.id}: ${reason}`);

test("a full outbox lets the oldest traces of people give way, keeps them aside with the reason, and never a machine's fact", async () => {
  const { disk, outbox, pending, events } = await opened(new HeldDisk(), { bytesMax: 10 });
  await outbox.put(trace("t1", "aaaa"));
  await outbox.put(trace("t2", "bbbb"));
  await outbox.put(fact("m1", "cccc"));
  assert.deepEqual(pending(), ["2 t2 bbbb", "3 m1 cccc"]);
  await outbox.put(fact("m2", "dddd"));
  assert.deepEqual([pending(), outbox.bytes], [["3 m1 cccc", "4 m2 dddd"], 8]);
  assert.match(asideOf(outbox).join("\n"), /^t1: it gave way: the outbox holds 10 bytes.*\nt2: it gave way/);
  await outbox.put(fact("m3", "eeee"));
  assert.deepEqual(pending(), ["3 m1 cccc", "4 m2 dddd", "5 m3 eeee"]);
  assert.equal(events.filter((e) => e === "outbox-over-full").length, 1);
  await outbox.put(fact("m4", "ffff"));
  assert.equal(events.filter((e) => e === "outbox-over-full").length, 1, "told once");
  const again = await opened(disk, { bytesMax: 10 });
  assert.deepEqual([again.outbox.bytes, asideOf(again.outbox).length], [16, 2]);
});

test("an outbox's bytes are those of what it holds, also after replacing, acknowledging and failing", async () => {
  const { disk, outbox } = await opened();
  await outbox.put(fact("a", "12345"));
  await outbox.put(fact("a", "123"));
  assert.equal(outbox.bytes, 3);
  disk.broken = new Error("no space left on device");
  await assert.rejects(outbox.put(fact("b", "1")));
  disk.broken = undefined;
  assert.equal(outbox.bytes, 3);
  await outbox.acknowledge(2n);
  assert.equal(outbox.bytes, 0);
});

const weather = (id: string, text: string, seenMs = 0) => ({ ...fact(id, text), kind: "weather", seenMs });
const unknown = (...sequences: bigint[]) =>
  sequences.map((sequence) => ({ sequence, reason: "kind weather is unknown", unknownKind: true }));

test("what central is too old for waits, over restarts, and goes to it anew, in order and with its time, once it is not", async () => {
  const { disk, outbox, pending } = await opened();
  await outbox.put(weather("storm", "1", 1_000));
  await outbox.put(weather("rain", "1", 2_000));
  await outbox.put(fact("a", "1"));
  await outbox.acknowledge(3n, unknown(1n, 2n));
  assert.deepEqual([pending(), outbox.notUnderstood, asideOf(outbox)], [[], 2, []]);
  await outbox.put(weather("storm", "2", 3_000));
  assert.equal(outbox.notUnderstood, 1, "the latest fact of a subject takes the place of the one that waits");
  await outbox.acknowledge(4n, unknown(4n));
  const again = await opened(disk);
  await again.outbox.offerAgain(["machine"]);
  assert.deepEqual([again.pending(), again.outbox.notUnderstood], [[], 2]);
  await again.outbox.offerAgain(["weather", "machine"]);
  assert.deepEqual([again.pending(), again.outbox.notUnderstood], [["5 rain 1", "6 storm 2"], 0]);
  assert.deepEqual(
    again.outbox.pending(2).map(({ seenAt }) => seenAt?.seconds),
    [2n, 3n],
  );
  assert.deepEqual((await opened(disk)).pending(), ["5 rain 1", "6 storm 2"]);
});

test("of what central is too old for the oldest gives way, with the reason, when there is too much of it", async () => {
  const { disk, outbox } = await opened(new HeldDisk(), { notUnderstoodBytesMax: 100 });
  for (const id of ["a", "b", "c", "d"]) await outbox.put(weather(id, "x".repeat(30)));
  await outbox.acknowledge(3n, unknown(1n, 2n, 3n));
  await outbox.acknowledge(4n, unknown(4n));
  assert.equal(outbox.notUnderstood, 2);
  assert.match(asideOf(outbox).join("\n"), /^a: it gave way: 100 bytes wait .*\nb: it gave way/);
  assert.equal((await opened(disk)).outbox.notUnderstood, 2);
});

test("a fact that central is too old for does not come back over a newer one, nor is it lost with a write that fails", async () => {
  const { disk, outbox, pending } = await opened();
  await outbox.put(weather("storm", "1"));
  disk.broken = new Error("no space left on device");
  await assert.rejects(outbox.acknowledge(1n, unknown(1n)), /no space left/);
  assert.deepEqual([pending(), outbox.notUnderstood], [["1 storm 1"], 0]);
  disk.broken = undefined;
  await outbox.acknowledge(1n, unknown(1n));
  disk.broken = new Error("no space left on device");
  await assert.rejects(outbox.put(weather("storm", "2")), /no space left/);
  assert.equal(outbox.notUnderstood, 1);
  disk.broken = undefined;
  await outbox.offerAgain(["weather"]);
  assert.deepEqual(pending(), ["3 storm 1"]);
  disk.hold();
  const put = outbox.put(weather("storm", "3"));
  const acknowledged = outbox.acknowledge(3n, unknown(3n));
  disk.release();
  await Promise.all([put, acknowledged]);
  assert.deepEqual([pending(), outbox.notUnderstood], [["4 storm 3"], 0]);

  await outbox.acknowledge(4n, unknown(4n));
  disk.hold();
  const [newer, offered] = [outbox.put(weather("storm", "4")), outbox.offerAgain(["weather"])];
  disk.release();
  await Promise.all([newer, offered]);
  assert.deepEqual([pending(), outbox.notUnderstood], [["5 storm 4"], 0]);
  assert.deepEqual((await opened(disk)).outbox.notUnderstood, 0);
});
