// An agent and a central of versions that differ by one, joined in memory: nothing of what the newer one says is lost.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { kinds } from "#central/store/kinds.ts";
import { takeReport } from "#central/sync/report.ts";
import { takers } from "#central/sync/take-entry.ts";
import { MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { ReportRequestSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { MemoryDisk } from "#lib/memory-disk.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { onRack, putPartition, startAgent, startCentral, stopAll, until, uuid } from "./joined.ts";

afterEach(stopAll);

test("what an older central does not know is kept, and taken in order and with its time by the newer one that follows it", async () => {
  const clock = new VirtualClock();
  const older = await startCentral(clock);
  await putPartition(older.state);
  const reach = { central: older };
  const disk = new MemoryDisk();
  let agent = await startAgent(clock, disk, () => reach.central);
  const put = (id: string, text: string, seenMs: number) =>
    agent.outbox.put({ kind: "weather", id, value: new TextEncoder().encode(text), seenMs });
  await put("now", "fine", 1_000);
  await put("flash 1", "bright", 2_000);
  await until(clock, "the older one's answer", () => agent.outbox.notUnderstood === 2);
  await put("flash 2", "brighter", 3_000);
  await put("now", "bad", 4_000);
  await until(clock, "the older one's answer", () => agent.outbox.notUnderstood === 3);
  assert.deepEqual(agent.outbox.rejected(), []);
  agent.stop.abort();
  agent = await startAgent(clock, disk, () => reach.central);
  await until(clock, "the agent follows", () => agent.link.state.phase === "following" && agent.outbox.size === 0);
  assert.equal(agent.outbox.notUnderstood, 3, "the older one is asked no more");

  const taken: string[] = [];
  const newer = await startCentral(clock, older.store, {
    ...takers,
    weather(_tx, { id, value, seenAt }) {
      taken.push(`${id} ${new TextDecoder().decode(value)} ${seenAt?.seconds}`);
      return {};
    },
  });
  reach.central = newer;
  older.stop.abort();
  await until(clock, "all of it", () => agent.outbox.notUnderstood === 0 && agent.outbox.size === 0);
  assert.deepEqual(taken, ["flash 1 bright 2", "flash 2 brighter 3", "now bad 4"]);
});

test("fields of a newer agent that central does not know are stored, and given back with the rest", async () => {
  const clock = new VirtualClock();
  const central = await startCentral(clock);
  await putPartition(central.state);
  const known = toBinary(MachineObservedSchema, create(MachineObservedSchema, { uuid, rack: "r1" }));
  // Field 2000, a varint.
  const value = Uint8Array.of(...known, 0x80, 0x7d, 7);
  const entries = [{ sequence: 1n, kind: "machine", id: uuid, value }];
  await takeReport(central.state, clock, create(ReportRequestSchema, { partition: "p1", outbox: "lost", entries }));
  const agent = await startAgent(clock, new MemoryDisk(), () => central);
  await until(clock, "recollection", () => agent.observations.get(uuid) !== undefined);
  await agent.observations.update(uuid, onRack("r2"));
  await until(clock, "report", () => central.state.get(kinds.machineObserved, uuid)?.value.rack === "r2");
  for (const machine of [agent.observations.get(uuid), central.state.get(kinds.machineObserved, uuid)?.value])
    assert.deepEqual(
      machine?.$unknown?.map(({ no, data }) => [no, [...data]]),
      [[2000, [7]]],
    );
});
