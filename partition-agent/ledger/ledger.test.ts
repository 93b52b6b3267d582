import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { type Size, SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { type Log, silentLog } from "#lib/log.ts";
import { HeldDisk } from "../testing/held-disk.ts";
import { Ledger } from "./ledger.ts";

const item = (id: string, revision: bigint, change: MessageInitShape<typeof DesiredItemSchema> = {}) =>
  create(DesiredItemSchema, {
    kind: "size",
    id,
    revision,
    value: toBinary(SizeSchema, create(SizeSchema, { id, name: `${id}@${revision}` })),
    ...change,
  });

const deleted = (id: string, revision: bigint) => item(id, revision, { deleted: true, value: new Uint8Array() });

function opened(disk = new HeldDisk()) {
  const changed: string[] = [];
  const events: string[] = [];
  const log: Log = { ...silentLog, warn: (e) => void events.push(e), error: (e) => void events.push(e) };
  const ledger = new Ledger(disk, log, (kind, id) => changed.push(`${kind}/${id}`));
  const names = () => ledger.list("size", SizeSchema).map((s: Size) => s.name ?? "");
  return { disk, ledger, changed, events, names };
}

const at = (revision: bigint, history = "h1") => ({ history, revision });

test("a new ledger asks for everything", () => {
  assert.deepEqual(opened().ledger.cursor, { history: "", revision: 0n });
});

test("a snapshot replaces everything in one step, and tells what came, what changed and what is gone", async () => {
  const { ledger, changed, names } = opened();
  await ledger.applySnapshot(at(3n), [item("a", 1n), item("b", 2n), item("c", 3n)]);
  changed.length = 0;
  await ledger.applySnapshot(at(9n), [item("a", 1n), item("b", 8n), item("d", 9n)]);
  assert.deepEqual(names(), ["a@1", "b@8", "d@9"]);
  assert.deepEqual(changed.sort(), ["size/b", "size/c", "size/d"]);
  assert.deepEqual(ledger.cursor, at(9n));
});

test("a delta changes and deletes, and moves the cursor", async () => {
  const { ledger, changed, names } = opened();
  await ledger.applySnapshot(at(2n), [item("a", 1n), item("b", 2n)]);
  changed.length = 0;
  assert.equal(await ledger.applyDelta(5n, [item("a", 5n), deleted("b", 5n)]), true);
  assert.deepEqual(names(), ["a@5"]);
  assert.deepEqual(changed, ["size/a", "size/b"]);
  assert.deepEqual(ledger.cursor, at(5n));
});

test("an agent refuses an older revision, and a repeated one changes nothing", async () => {
  const { ledger, changed, names, events } = opened();
  await ledger.applySnapshot(at(7n), [item("a", 7n)]);
  changed.length = 0;
  for (const revision of [6n, 7n]) {
    assert.equal(await ledger.applyDelta(revision, [deleted("a", revision)]), false);
  }
  assert.deepEqual(names(), ["a@7"]);
  assert.deepEqual(changed, []);
  assert.ok(events.includes("ledger-refused-older-revision"));
});

test("an agent refuses a snapshot that is older than its ledger, and keeps what it has", async () => {
  const { ledger, names } = opened();
  await ledger.applySnapshot(at(7n), [item("a", 7n)]);
  await assert.rejects(ledger.applySnapshot(at(6n), []), /snapshot is of revision 6, the ledger is at 7/);
  assert.deepEqual(names(), ["a@7"]);
});

test("different content under an equal revision is reported, not absorbed", async () => {
  const { ledger, names, events } = opened();
  await ledger.applySnapshot(at(7n), [item("a", 7n)]);
  const other = item("a", 7n, { value: toBinary(SizeSchema, create(SizeSchema, { id: "a", name: "other" })) });
  await ledger.applySnapshot(at(7n), [other]);
  assert.equal(await ledger.applyDelta(7n, [other]), false);
  assert.deepEqual(names(), ["a@7"]);
  assert.deepEqual(
    events.filter((e) => e === "ledger-contradicted"),
    ["ledger-contradicted", "ledger-contradicted"],
  );
});

test("under another history everything counts anew, also on disk, whatever its revision", async () => {
  const { ledger, disk, names, events } = opened();
  await ledger.applySnapshot(at(7n), [item("a", 7n)]);
  const other = item("a", 7n, { value: toBinary(SizeSchema, create(SizeSchema, { id: "a", name: "restored" })) });
  await ledger.applySnapshot(at(3n, "h2"), [other]);
  assert.deepEqual(names(), ["restored"]);
  assert.deepEqual(opened(disk).names(), ["restored"]);
  assert.deepEqual(opened(disk).ledger.cursor, at(3n, "h2"));
  assert.ok(events.includes("ledger-history-changed"));
});

test("after a restart the ledger is as it was", async () => {
  const { ledger, disk } = opened();
  await ledger.applySnapshot(at(2n), [item("a", 1n), item("b", 2n)]);
  await ledger.applyDelta(4n, [deleted("a", 4n), item("c", 4n)]);
  const again = opened(disk);
  assert.deepEqual(again.names(), ["b@2", "c@4"]);
  assert.deepEqual(again.ledger.cursor, at(4n));
});

test("a revision that the disk did not take is not seen, and can be applied again", async () => {
  const { ledger, disk, changed, names } = opened();
  await ledger.applySnapshot(at(1n), [item("a", 1n)]);
  changed.length = 0;
  disk.broken = new Error("no space left on device");
  await assert.rejects(ledger.applyDelta(2n, [item("a", 2n)]), /no space left/);
  await assert.rejects(ledger.applySnapshot(at(3n), []), /no space left/);
  assert.deepEqual([names(), ledger.cursor, changed], [["a@1"], at(1n), []]);
  disk.broken = undefined;
  assert.equal(await ledger.applyDelta(2n, [item("a", 2n)]), true);
  assert.deepEqual(names(), ["a@2"]);
});

test("damaged rows are left out, named, and asked for again with everything", async () => {
  const { ledger, disk } = opened();
  await ledger.applySnapshot(at(2n), [item("a", 1n), item("b", 2n)]);
  await disk.write([
    { table: "ledger", key: "size/a", value: new Uint8Array([0xff, 0xff]) },
    { table: "ledger", key: "size/gone", value: new Uint8Array([0xff]) },
  ]);
  const again = opened(disk);
  assert.deepEqual(again.names(), ["b@2"]);
  assert.deepEqual(again.events, ["ledger-item-damaged", "ledger-item-damaged"]);
  assert.deepEqual(again.ledger.cursor, at(0n));
  await again.ledger.applySnapshot(at(2n), [item("a", 1n), item("b", 2n)]);
  assert.deepEqual(opened(disk).events, []);
  assert.deepEqual(opened(disk).names(), ["a@1", "b@2"]);
});

test("kinds that the agent does not know are kept, and ignored", async () => {
  const { ledger, disk } = opened();
  await ledger.applySnapshot(at(1n), [item("x", 1n, { kind: "from-the-future" })]);
  assert.deepEqual(ledger.list("size", SizeSchema), []);
  assert.equal(opened(disk).ledger.get("from-the-future", "x", SizeSchema)?.name, "x@1");
});

test("an item whose content cannot be read is as if it were not there, and named", async () => {
  const { ledger, events } = opened();
  await ledger.applySnapshot(at(1n), [item("a", 1n, { value: new Uint8Array([0xff]) }), item("b", 1n)]);
  assert.equal(ledger.get("size", "a", SizeSchema), undefined);
  assert.equal(ledger.list("size", SizeSchema).length, 1);
  assert.ok(events.includes("ledger-item-undecodable"));
});
