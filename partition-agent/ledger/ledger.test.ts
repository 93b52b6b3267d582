import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { digestItems } from "#domain/sync/item-digest.ts";
import { AcceptedHistorySchema } from "#gen/holdfast/state/v1/history_pb.ts";
import { type DesiredItem, DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
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

const bytesOf = (one: DesiredItem) => toBinary(DesiredItemSchema, one);
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
  assert.deepEqual(changed, ["contradictions/h1"], "what is there under a revision was not deleted by it");
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

test("where central contradicts itself is kept, over restarts, until it tells a later revision or everything anew", async () => {
  const { disk, ledger, changed } = opened();
  await ledger.applySnapshot(at(7n), [item("a", 6n), item("b", 7n)]);
  const [a, b] = [item("a", 6n), item("b", 7n)].map((i) => ({ ...i, value: named(i.id, "other").value }));
  const shown = (of: Ledger) => of.contradictions?.items.map(({ kind, id, revision }) => `${kind}/${id}@${revision}`);
  assert.equal(shown(ledger), undefined);
  changed.length = 0;
  await ledger.applySnapshot(at(7n), [a!, b!]);
  await ledger.applyDelta(7n, [b!]);
  assert.deepEqual([shown(ledger), changed], [["size/a@6", "size/b@7"], ["contradictions/h1"]]);
  const [first] = ledger.contradictions?.items ?? [];
  assert.match(`${first?.kept} ${first?.told}`, /^[0-9a-f]{16} [0-9a-f]{16}$/);
  assert.notEqual(first?.kept, first?.told);
  await ledger.applyDelta(8n, [item("b", 8n)]);
  const again = opened(disk);
  assert.deepEqual(shown(again.ledger), ["size/a@6"]);
  again.ledger.driftFrom(digestItems([a!, item("b", 8n)]));
  await again.ledger.applySnapshot(at(8n), [a!, item("b", 8n)]);
  assert.deepEqual([again.names(), shown(again.ledger)], [["other", "b@8"], []]);
  assert.equal(again.changed.at(-1), "history/h1");
  assert.ok(again.changed.includes("contradictions/h1"));
  await ledger.applySnapshot(
    at(9n),
    Array.from({ length: 300 }, (_, i) => item(`${i}`, 9n)),
  );
  await ledger.applySnapshot(
    at(9n),
    Array.from({ length: 300 }, (_, i) => ({ ...item(`${i}`, 9n), value: named(`${i}`, "other").value })),
  );
  assert.deepEqual([ledger.contradictions?.items.length, ledger.contradictions?.total], [100, 300]);
});

const named = (id: string, name: string) =>
  item(id, 7n, { value: toBinary(SizeSchema, create(SizeSchema, { id, name })) });
const acceptance = (history: string, revision: bigint) =>
  item("p1", revision, {
    kind: "accepted-history",
    value: toBinary(AcceptedHistorySchema, create(AcceptedHistorySchema, { history })),
  });

describe("a set of another history", () => {
  test("is held, also across a restart; what is acted on stays, and central goes on with what is held", async () => {
    const { ledger, disk, names, changed, events } = opened();
    await ledger.applySnapshot(at(7n), [item("a", 7n)]);
    changed.length = 0;
    await ledger.applySnapshot(at(3n, "h2"), [named("a", "restored")]);
    for (const one of [{ ledger, names }, opened(disk)]) {
      assert.deepEqual(one.names(), ["a@7"]);
      assert.deepEqual([one.ledger.cursor, one.ledger.held, one.ledger.followed], [at(7n), at(3n, "h2"), at(3n, "h2")]);
      assert.deepEqual([...one.ledger.differences()], [{ kind: "size", id: "a" }]);
    }
    assert.equal(ledger.getHeld("size", "a", SizeSchema)?.name, "restored");
    assert.deepEqual(changed, ["history/h1"]);
    assert.ok(events.includes("ledger-holds-history"));
  });

  test("takes what changes in it, and all of it comes into force when it is accepted on site", async () => {
    const { ledger, disk, names, changed } = opened();
    await ledger.applySnapshot(at(7n), [item("a", 7n), item("b", 7n)]);
    await ledger.applySnapshot(at(3n, "h2"), [named("a", "restored")]);
    assert.equal(await ledger.applyDelta(4n, [named("c", "new")]), true);
    assert.deepEqual(names(), ["a@7", "b@7"]);
    await assert.rejects(ledger.accept("h3"), /history h3 is not the one that waits to be accepted: that is h2/);
    changed.length = 0;
    await ledger.accept("h2");
    assert.deepEqual(names(), ["restored", "new"]);
    assert.deepEqual(changed.sort(), ["history/h2", "size/a", "size/b", "size/c"]);
    assert.deepEqual([opened(disk).names(), opened(disk).ledger.cursor], [["restored", "new"], at(4n, "h2")]);
    assert.deepEqual([ledger.held, opened(disk).ledger.held], [undefined, undefined]);
    await assert.rejects(ledger.accept("h2"), /no history waits/);
  });

  test("is accepted while a change of it is on its way to the disk, and then nothing is held any more", async () => {
    const { ledger, disk, names } = opened();
    await ledger.applySnapshot(at(2n), [item("a", 1n)]);
    await ledger.applySnapshot(at(1n, "h2"), [item("a", 1n)]);
    disk.hold();
    const [applying, accepting] = [ledger.applyDelta(2n, [item("b", 2n)]), ledger.accept("h2")];
    disk.release();
    await Promise.all([applying, accepting]);
    assert.deepEqual([ledger.held, ledger.cursor, names()], [undefined, at(2n, "h2"), ["a@1", "b@2"]]);
  });

  test("comes into force by an administrator's word in it, whether that came with it or later, and by no other's", async () => {
    const with_ = opened();
    await with_.ledger.applySnapshot(at(7n), [item("a", 7n)]);
    await with_.ledger.applySnapshot(at(3n, "h2"), [named("a", "restored"), acceptance("h2", 3n)]);
    assert.deepEqual([with_.names(), with_.ledger.cursor], [["restored"], at(3n, "h2")]);
    const later = opened();
    await later.ledger.applySnapshot(at(7n), [item("a", 7n)]);
    await later.ledger.applySnapshot(at(3n, "h2"), [named("a", "restored"), acceptance("h1", 2n)]);
    assert.deepEqual(later.names(), ["a@7"]);
    await later.ledger.applyDelta(4n, [acceptance("h2", 4n)]);
    assert.deepEqual([later.names(), later.ledger.cursor], [["restored"], at(4n, "h2")]);
  });

  test("comes into force later when the disk could not take it as the word came", async () => {
    const { ledger, disk, names } = opened();
    await ledger.applySnapshot(at(7n), [item("a", 7n)]);
    await ledger.applySnapshot(at(3n, "h2"), [named("a", "restored")]);
    const apply = ledger.applyDelta(4n, [acceptance("h2", 4n)]);
    disk.broken = new Error("no space left on device");
    await assert.rejects(apply, /no space left/);
    disk.broken = undefined;
    for (const one of [opened(disk), { ledger, names }]) {
      if (one.ledger.held?.revision !== 4n) await one.ledger.applyDelta(4n, [acceptance("h2", 4n)]);
      await one.ledger.enforceAccepted();
      assert.deepEqual(one.names(), ["restored"]);
    }
  });

  test("is forgotten when central tells the former history again", async () => {
    const { ledger, disk, names, changed } = opened();
    await ledger.applySnapshot(at(7n), [item("a", 7n)]);
    await ledger.applySnapshot(at(3n, "h2"), [named("a", "restored")]);
    changed.length = 0;
    await ledger.applySnapshot(at(8n), [item("a", 7n), item("b", 8n)]);
    assert.deepEqual([names(), ledger.cursor, ledger.held], [["a@7", "b@8"], at(8n), undefined]);
    assert.deepEqual(changed, ["size/b", "history/h1"]);
    assert.equal(opened(disk).ledger.held, undefined);
  });

  test("that comes instead of one that is held takes its place, and half of one takes nobody's", async () => {
    const { ledger, names } = opened();
    await ledger.applySnapshot(at(7n), [item("a", 7n)]);
    await ledger.applySnapshot(at(3n, "h2"), [named("a", "second")]);
    const half = await ledger.begin(at(1n, "h3"));
    await half.add([bytesOf(named("a", "third"))]);
    assert.deepEqual([names(), ledger.held], [["a@7"], at(3n, "h2")]);
    const whole = await ledger.begin(at(1n, "h3"));
    await whole.add([bytesOf(named("a", "third"))]);
    await whole.finish();
    assert.deepEqual([names(), ledger.held], [["a@7"], at(1n, "h3")]);
    assert.equal(ledger.getHeld("size", "a", SizeSchema)?.name, "third");
  });
});

test("a full set that comes in parts is in force when it is whole, and not before", async () => {
  const { ledger, disk, names } = opened();
  await ledger.applySnapshot(at(2n), [item("a", 1n)]);
  const coming = await ledger.begin(at(9n));
  await coming.add([bytesOf(item("b", 8n))]);
  await coming.add([bytesOf(item("c", 9n))]);
  assert.deepEqual([names(), opened(disk).names(), ledger.cursor], [["a@1"], ["a@1"], at(2n)]);
  await coming.finish();
  assert.deepEqual([names(), opened(disk).names(), ledger.cursor], [["b@8", "c@9"], ["b@8", "c@9"], at(9n)]);
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
    { table: "ledger-2", key: "size/a", value: new Uint8Array([0xff, 0xff]) },
    { table: "ledger-2", key: "size/gone", value: new Uint8Array([0xff]) },
  ]);
  const again = opened(disk);
  assert.deepEqual(again.names(), ["b@2"]);
  assert.deepEqual(again.events, ["ledger-item-damaged", "ledger-item-damaged"]);
  assert.deepEqual(again.ledger.cursor, at(0n));
  await again.ledger.applySnapshot(at(2n), [item("a", 1n), item("b", 2n)]);
  assert.deepEqual(opened(disk).events, []);
  assert.deepEqual(opened(disk).names(), ["a@1", "b@2"]);
});

describe("a ledger that is told what it must hold", () => {
  const told = (...items: ReturnType<typeof item>[]) => digestItems(items);

  test("finds nothing when it holds that, of the held set when there is one", async () => {
    const { ledger } = opened();
    await ledger.applySnapshot(at(2n), [item("a", 1n), item("b", 2n)]);
    assert.deepEqual(ledger.driftFrom(told(item("b", 2n), item("a", 1n))), []);
    await ledger.applySnapshot(at(3n, "h2"), [named("a", "restored")]);
    assert.deepEqual(ledger.driftFrom(told(named("a", "restored"))), []);
    assert.deepEqual(ledger.cursor, at(2n));
  });

  test("asks for everything where it differs, and takes it, whatever it had under that revision", async () => {
    const { ledger, disk, names, events } = opened();
    await ledger.applySnapshot(at(2n), [item("a", 1n), item("b", 2n)]);
    await disk.write([{ table: "ledger-2", key: "size/a", value: undefined }]);
    assert.deepEqual(ledger.driftFrom(told(item("a", 1n), item("b", 2n))), ["size"]);
    assert.deepEqual([ledger.cursor, ledger.followed], [at(2n), at(0n)]);
    assert.deepEqual([ledger.isDamaged, events], [true, ["ledger-drifted"]]);
    await ledger.applySnapshot(at(2n), [item("a", 1n), named("b", "central's word")]);
    assert.deepEqual([names(), ledger.cursor, ledger.isDamaged], [["a@1", "central's word"], at(2n), false]);
  });
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

test("kinds and fields that only a newer agent knows are kept, change with what central tells, and are there after its upgrade", async () => {
  const { disk, ledger, changed, events } = opened();
  // Field 2000 of both messages, a varint.
  const later = (n: number) => Uint8Array.of(0x80, 0x7d, n);
  const weather = (id: string, revision: bigint, n: number) =>
    item(id, revision, {
      kind: "weather",
      value: Uint8Array.of(...toBinary(SizeSchema, create(SizeSchema, { id })), ...later(n)),
    });
  const coming = await ledger.begin(at(3n));
  await coming.add([
    Uint8Array.of(...bytesOf(weather("rain", 1n, 1)), ...later(9)),
    bytesOf(weather("storm", 2n, 2)),
    bytesOf(item("a", 3n)),
  ]);
  await coming.finish();
  await ledger.applyDelta(4n, [weather("storm", 4n, 4), weather("fog", 4n, 5)]);
  assert.deepEqual([changed.at(-1), events], ["weather/fog", []]);
  assert.deepEqual(
    ledger.driftFrom(
      digestItems([weather("rain", 1n, 1), weather("storm", 4n, 4), weather("fog", 4n, 5), item("a", 3n)]),
    ),
    [],
  );
  const upgraded = opened(disk).ledger;
  assert.deepEqual(
    upgraded
      .list("weather", SizeSchema)
      .map(({ id, $unknown }) => `${id} ${$unknown?.[0]?.no} ${$unknown?.[0]?.data[0]}`),
    ["fog 2000 5", "rain 2000 1", "storm 2000 4"],
  );
});
