// The shipped central feed and the shipped agent link, joined in memory: what one commits the other applies, across cuts and restarts.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { kinds } from "#central/store/kinds.ts";
import type { State } from "#central/store/state.ts";
import { takeReport } from "#central/sync/report.ts";
import { AcceptedHistorySchema } from "#gen/holdfast/state/v1/history_pb.ts";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { ReportRequestSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { MemoryDisk } from "#lib/memory-disk.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { type Central, onRack, putPartition, startAgent, startCentral, stopAll, until, uuid } from "./joined.ts";

async function copyOf(disk: MemoryDisk): Promise<MemoryDisk> {
  const copy = new MemoryDisk();
  for (const table of ["ledger", "ledger-cursor", "lives", "observed", "observed-meta", "outbox", "outbox-meta"])
    await copy.write(Array.from(disk.entries(table), ([key, value]) => ({ table, key, value })));
  return copy;
}

const putSize = (state: State, id: string, name: string) =>
  state.transact((tx) => tx.put(kinds.size, id, create(SizeSchema, { id, name })));

afterEach(stopAll);

test("an agent gets a snapshot, then every change of its partition, and nothing of another's", async () => {
  const clock = new VirtualClock();
  const central = await startCentral(clock);
  await putPartition(central.state);
  await putSize(central.state, "small", "one");
  const agent = await startAgent(clock, new MemoryDisk(), () => central);
  await until(clock, "snapshot", () => agent.ledger.get("size", "small", SizeSchema)?.name === "one");
  await putSize(central.state, "small", "two");
  await central.state.transact((tx) => {
    for (const [id, partition] of [
      [uuid, "p1"],
      ["other", "p2"],
    ] as const) {
      tx.put(kinds.machineDesired, id, create(MachineDesiredSchema, { uuid: id, partition, epoch: 1n }));
    }
  });
  await until(clock, "delta", () => agent.ledger.get("machine", uuid, MachineDesiredSchema)?.epoch === 1n);
  assert.equal(agent.ledger.get("size", "small", SizeSchema)?.name, "two");
  assert.equal(agent.ledger.get("machine", "other", MachineDesiredSchema), undefined);
  assert.equal(agent.snapshots.count, 1);
});

test("after a cut the agent resumes with deltas, deletions included", async () => {
  const clock = new VirtualClock();
  const central = await startCentral(clock);
  await putPartition(central.state);
  await putSize(central.state, "a", "1");
  const reach = { central: central as Central | undefined };
  const disk = new MemoryDisk();
  const agent = await startAgent(clock, disk, () => reach.central);
  await until(clock, "snapshot", () => agent.ledger.get("size", "a", SizeSchema) !== undefined);
  agent.stop.abort();
  await putSize(central.state, "b", "1");
  await central.state.transact((tx) => tx.delete(kinds.size, "a"));
  const again = await startAgent(clock, disk, () => reach.central);
  assert.equal(again.ledger.get("size", "a", SizeSchema)?.name, "1", "the ledger outlives the agent");
  await until(clock, "deltas", () => again.ledger.get("size", "b", SizeSchema) !== undefined);
  await until(clock, "deletion", () => again.ledger.get("size", "a", SizeSchema) === undefined);
  assert.equal(again.snapshots.count, 0);
});

test("an agent of another history gets a snapshot, which replaces what it had once an administrator accepts it", async () => {
  const clock = new VirtualClock();
  const first = await startCentral(clock);
  await putPartition(first.state);
  await putSize(first.state, "old", "1");
  const disk = new MemoryDisk();
  const before = await startAgent(clock, disk, () => first);
  await until(clock, "snapshot", () => before.ledger.get("size", "old", SizeSchema) !== undefined);
  before.stop.abort();
  const second = await startCentral(clock);
  await putPartition(second.state);
  await putSize(second.state, "new", "1");
  const after = await startAgent(clock, disk, () => second);
  await until(clock, "new set", () => after.ledger.held?.history === second.state.history);
  assert.equal(after.ledger.get("size", "old", SizeSchema)?.name, "1", "nobody has accepted it yet");
  const { history } = second.state;
  const accepted = create(AcceptedHistorySchema, { history, user: "admin" });
  await second.state.transact((tx) => tx.put(kinds.acceptedHistory, "p1", accepted));
  await until(clock, "acceptance", () => after.ledger.get("size", "new", SizeSchema) !== undefined);
  assert.equal(after.ledger.get("size", "old", SizeSchema), undefined);
  assert.equal(after.ledger.cursor.history, history);
});

test("what the agent saw while central was away arrives once it is back, the latest of each machine", async () => {
  const clock = new VirtualClock();
  const central = await startCentral(clock);
  await putPartition(central.state);
  const reach = { central: undefined as Central | undefined };
  const disk = new MemoryDisk();
  const agent = await startAgent(clock, disk, () => reach.central);
  for (let i = 1; i <= 5; i++) await agent.observations.update(uuid, onRack(`rack${i}`));
  assert.equal(agent.outbox.size, 1);
  agent.stop.abort();
  const again = await startAgent(clock, disk, () => reach.central);
  assert.equal(again.outbox.size, 1, "the outbox outlives the agent");
  reach.central = central;
  await until(clock, "report", () => central.state.get(kinds.machineObserved, uuid)?.value.rack === "rack5");
  assert.equal(central.state.get(kinds.machineDesired, uuid)?.value.epoch, 1n, "a new machine belongs to nobody");
  await until(clock, "ack", () => again.outbox.size === 0);
});

test("a report that comes twice, or late, changes nothing", async () => {
  const clock = new VirtualClock();
  const central = await startCentral(clock);
  await putPartition(central.state);
  const disk = new MemoryDisk();
  const agent = await startAgent(clock, disk, () => undefined);
  await agent.observations.update(uuid, onRack("old"));
  const late = create(ReportRequestSchema, {
    partition: "p1",
    outbox: agent.outbox.id,
    entries: [...agent.outbox.pending(10)],
  });
  await agent.observations.update(uuid, onRack("new"));
  const fresh = create(ReportRequestSchema, {
    partition: "p1",
    outbox: agent.outbox.id,
    entries: [...agent.outbox.pending(10)],
  });
  const taken = await takeReport(central.state, clock, fresh);
  assert.deepEqual(await takeReport(central.state, clock, late), { ...taken, rejected: [] });
  assert.equal(central.state.get(kinds.machineObserved, uuid)?.value.rack, "new");
});

for (const next of ["nothing", "something"])
  test(`what another outbox's late report replaced is told again, also when there is ${next} new`, async () => {
    const clock = new VirtualClock();
    const central = await startCentral(clock);
    await putPartition(central.state);
    const agent = await startAgent(clock, new MemoryDisk(), () => central);
    const shown = () => central.state.get(kinds.machineObserved, uuid)?.value.rack;
    await agent.observations.update(uuid, onRack("here"));
    await until(clock, "report", () => shown() === "here" && agent.outbox.size === 0);
    const told = agent.observations.told.turn;
    const value = toBinary(MachineObservedSchema, create(MachineObservedSchema, { uuid, rack: "there, before" }));
    const late = { partition: "p1", outbox: "of the disk that was lost" };
    const entries = [{ sequence: 9n, kind: "machine", id: uuid, value }];
    await takeReport(central.state, clock, create(ReportRequestSchema, { ...late, entries }));
    assert.equal(shown(), "there, before");
    if (next === "something") await agent.observations.update(uuid.replace(/1$/, "2"), onRack("else"));
    await until(clock, "the truth again", () => shown() === "here" && agent.outbox.size === 0);
    assert.equal(agent.observations.told.turn, told + 2n, "the other's turn, and its own again");
  });

test("what a disk that was set back in place has counted on passes for no repetition", async () => {
  const clock = new VirtualClock();
  const central = await startCentral(clock);
  await putPartition(central.state);
  const reach = { central: central as Central | undefined };
  const shown = (n: number) => central.state.get(kinds.machineObserved, uuid.replace(/1$/, `${n}`))?.value.rack;
  const see = async ({ observations }: Awaited<ReturnType<typeof startAgent>>, n: number, racks: readonly string[]) => {
    for (const rack of racks) await observations.update(uuid.replace(/1$/, `${n}`), onRack(rack));
  };
  const disk = new MemoryDisk();
  const first = await startAgent(clock, disk, () => reach.central);
  await see(first, 1, ["a"]);
  await until(clock, "report", () => shown(1) === "a" && first.outbox.size === 0);
  const back = await copyOf(disk);
  await see(first, 2, ["forgotten", "forgotten, too", "told"]);
  await until(clock, "report", () => shown(2) === "told" && first.outbox.size === 0);
  const { id, sequence } = first.outbox;
  first.stop.abort();

  reach.central = undefined;
  const second = await startAgent(clock, back, () => reach.central);
  await see(second, 3, ["new"]);
  await see(second, 4, ["new", "newer", "newest", "last"]);
  assert.ok(second.outbox.sequence > sequence, "its sequence alone does not tell");
  assert.ok(second.outbox.pending(1)[0]!.sequence <= sequence);
  second.stop.abort();
  const third = await startAgent(clock, back, () => reach.central);
  reach.central = central;
  await until(clock, "all of it", () => shown(3) === "new" && shown(4) === "last" && third.outbox.size === 0);
  assert.notEqual(third.outbox.id, id);
  assert.equal(third.observations.get(uuid.replace(/1$/, "2"))?.rack, "told", "central has given it back");
  third.stop.abort();

  const { id: next } = third.outbox;
  const fourth = await startAgent(clock, back, () => reach.central);
  await see(fourth, 5, ["later"]);
  await until(clock, "report", () => shown(5) === "later");
  assert.equal(fourth.outbox.id, next, "a restart is no reason to take another one");
});

test("restarts of which central has not heard, or not all, are no reason for another outbox", async () => {
  const clock = new VirtualClock();
  const central = await startCentral(clock);
  await putPartition(central.state);
  const reach = { central: central as Central | undefined, isHeard: true };
  const disk = new MemoryDisk();
  const shown = () => central.state.get(kinds.machineObserved, uuid)?.value.rack;
  const outboxes = new Set<string>();
  for (const [i, link] of ["up", "cut", "answers lost", "cut", "answers lost", "up"].entries()) {
    reach.central = link === "cut" ? undefined : central;
    reach.isHeard = link === "up";
    const agent = await startAgent(
      clock,
      disk,
      () => reach.central,
      () => reach.isHeard,
    );
    await agent.observations.update(uuid, onRack(`${i}`));
    if (link === "cut") await until(clock, "an attempt", () => agent.link.state.phase === "backing off");
    else await until(clock, "report", () => shown() === `${i}`);
    outboxes.add(agent.outbox.id);
    agent.stop.abort();
  }
  assert.equal(outboxes.size, 1);
});

test("a report that cannot be read is rejected with the reason, and the others are taken", async () => {
  const clock = new VirtualClock();
  const central = await startCentral(clock);
  await putPartition(central.state);
  const request = create(ReportRequestSchema, {
    partition: "p1",
    outbox: "o",
    entries: [
      { sequence: 1n, kind: "machine", id: uuid, value: new Uint8Array([0xff]) },
      { sequence: 2n, kind: "weather", id: "x" },
      {
        sequence: 3n,
        kind: "machine",
        id: uuid,
        value: toBinary(MachineObservedSchema, create(MachineObservedSchema, { uuid })),
      },
    ],
  });
  const taken = await takeReport(central.state, clock, request);
  assert.equal(taken.acknowledged, 3n);
  assert.deepEqual(
    taken.rejected.map((r) => r.reason),
    [`machine ${uuid}: the report cannot be read`, "kind weather is unknown to this central"],
  );
  assert.ok(central.state.get(kinds.machineObserved, uuid));
});

test("a clone of the agent is refused while the agent is connected, and both sides say so", async () => {
  const clock = new VirtualClock();
  const central = await startCentral(clock);
  await putPartition(central.state);
  const agent = await startAgent(clock, new MemoryDisk(), () => central);
  await until(clock, "the agent follows", () => agent.link.state.phase === "following");
  const clone = await startAgent(clock, new MemoryDisk(), () => central);
  await until(clock, "the clone is refused", () => clone.link.state.phase === "backing off");
  assert.match(clone.link.state.lastError ?? "", /another agent is connected under this identity/);
  assert.ok(central.ports.connections.hasClone("p1"));
  agent.stop.abort();
  await until(clock, "the other is let in", () => clone.link.state.phase === "following");
});
