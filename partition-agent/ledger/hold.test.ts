import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { HistoryHoldSchema } from "#gen/holdfast/state/v1/history_pb.ts";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { type DesiredItem, DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { silentLog } from "#lib/log.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { Observations } from "../observations/observations.ts";
import { Outbox } from "../outbox/outbox.ts";
import { HeldDisk } from "../testing/held-disk.ts";
import { random, settle } from "../testing/site.ts";
import { HoldReport, machineDifference } from "./hold.ts";
import { Ledger } from "./ledger.ts";

const uuid = "00000000-0000-4000-8000-000000000001";
const wanted = (epoch: bigint, project?: string) =>
  create(MachineDesiredSchema, { uuid, epoch, ...(project && { allocation: { project } }) });
const seen = (init: MessageInitShape<typeof MachineObservedSchema>) =>
  create(MachineObservedSchema, { uuid, boot: "b", ...init });

const consequences: readonly (readonly [string, Parameters<typeof machineDifference>[1], RegExp])[] = [
  [
    "an allocation that the restored central does not know",
    { inForce: wanted(6n, "a"), held: wanted(5n), seen: seen({ workedEpoch: 6n, installedEpoch: 6n }) },
    /left as it is until somebody reclaims it/,
  ],
  [
    "a machine that the restored central does not know",
    { inForce: wanted(6n, "a"), held: undefined, seen: seen({ workedEpoch: 6n }) },
    /left as it is until somebody reclaims it/,
  ],
  [
    "a machine that was released since the backup",
    { inForce: wanted(7n), held: wanted(6n, "a"), seen: seen({ wipedEpoch: 7n }) },
    /it is left as it is/,
  ],
  [
    "a free machine that the restored central has given to somebody",
    { inForce: wanted(7n), held: wanted(8n, "a"), seen: seen({ wipedEpoch: 7n }) },
    /it is installed for project a/,
  ],
  [
    "a machine that the restored central has released",
    { inForce: wanted(6n, "a"), held: wanted(8n), seen: seen({ workedEpoch: 6n, installedEpoch: 6n }) },
    /it is wiped/,
  ],
  [
    "a free machine that the restored central does not know",
    { inForce: wanted(1n), held: undefined, seen: seen({}) },
    /forgotten/,
  ],
];

for (const [what, sides, said] of consequences) {
  test(`${what}: the three sides and what comes of it are told`, () => {
    const told = machineDifference(uuid, sides);
    assert.match(told.consequence, said);
    assert.match(told.inForce, /^epoch \d+, (free|allocated to project a)$/);
    assert.notEqual(told.seen, "");
  });
}

test("what differs is told of each kind, named within a limit, and followed item by item after it was compared once", async () => {
  const disk = new HeldDisk();
  const compared = { count: 0 };
  const counting = {
    ...{ identity: disk.identity, get: (t: string, k: string) => disk.get(t, k), write: disk.write.bind(disk) },
    entries: (table: string, prefix?: string) => {
      if (prefix === undefined && table.startsWith("ledger")) compared.count++;
      return disk.entries(table, prefix);
    },
  };
  const clock = new VirtualClock();
  const heard = { change: (_items?: readonly DesiredItem[]) => {} };
  const ledger = new Ledger(counting, silentLog, (kind, _id, items) => {
    if (kind === "history" || kind === "held-history") heard.change(items);
  });
  const outbox = await Outbox.open(disk, random, silentLog, () => {});
  const observations = new Observations({ partition: "p1", disk, outbox, clock, log: silentLog, changed: () => {} });
  const hold = new HoldReport({ partition: "p1", ledger, observations, outbox, clock, log: silentLog });
  heard.change = (items) => hold.changed(items);

  const size = (id: string, revision: bigint, name: string) =>
    create(DesiredItemSchema, {
      kind: "size",
      id,
      revision,
      value: toBinary(SizeSchema, create(SizeSchema, { id, name })),
    });
  const machine = (revision: bigint, epoch: bigint) =>
    create(DesiredItemSchema, {
      ...{ kind: "machine", id: uuid, revision },
      value: toBinary(MachineDesiredSchema, wanted(epoch)),
    });
  const sizes = Array.from({ length: 60 }, (_, i) => size(`${i}`.padStart(2, "0"), 1n, "old"));
  await ledger.applySnapshot({ history: "h1", revision: 2n }, [...sizes, machine(2n, 1n)]);
  const others = sizes.map((one) => ({ ...one, revision: 3n }));
  await ledger.applySnapshot({ history: "h2", revision: 3n }, [...others, machine(2n, 1n)]);
  const told = () => {
    const entry = outbox.pending(10).find(({ kind }) => kind === "history-hold");
    return entry && fromBinary(HistoryHoldSchema, entry.value);
  };
  const text = () => {
    const { machinesTotal, others } = told() ?? {};
    return `${machinesTotal} ${others?.map((o) => `${o.kind} ${o.items} ${o.named.length} ${o.named[0]?.fields}`)}`;
  };
  await settle();
  assert.equal(text(), "0 size 60 50 ");

  const before = compared.count;
  await ledger.applyDelta(4n, [size("00", 4n, "new"), machine(4n, 2n)]);
  await settle();
  assert.equal(text(), "1 size 60 50 name");
  await ledger.applyDelta(5n, [...sizes.slice(1), machine(2n, 1n)]);
  await settle();
  assert.equal(text(), "0 size 1 1 name");
  assert.equal(compared.count, before, "a change costs what it changes");
  await ledger.accept("h2");
  await settle();
  assert.equal(told()?.held, "");
});
