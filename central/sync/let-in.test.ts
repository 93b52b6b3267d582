import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { create, fromBinary } from "@bufbuild/protobuf";
import { ReportCursorSchema } from "#gen/holdfast/state/v1/cursor_pb.ts";
import { MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { FollowRequestSchema, type FollowResponse } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { kinds } from "../store/kinds.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { openState } from "../store/state.ts";
import type { Store } from "../store/store.ts";
import { machineUuid } from "../testing/machines.ts";
import { CentralSession } from "./central-session.ts";
import { Connections } from "./connections.ts";
import { SyncFeed } from "./feed.ts";
import { followPartition } from "./follow.ts";
import { takers } from "./take-entry.ts";

const turns = async () => {
  for (let i = 0; i < 5; i++) await turn();
};

/** The store as a central sees it that is told of no change any more from the time on at which it is asked to. */
function lateStore(store: Store): Store & { lag(): void; catchUp(): void } {
  let [current, catchUp] = [Promise.resolve(), () => {}];
  return {
    ...{ history: () => store.history(), read: (key) => store.read(key), list: (prefix) => store.list(prefix) },
    ...{ commit: (commit) => store.commit(commit), compact: (revision) => store.compact(revision) },
    async *watch(wanted, signal) {
      for await (const batch of store.watch(wanted, signal)) {
        await current;
        yield batch;
      }
    },
    close: async () => {},
    lag: () => {
      current = new Promise((resolve) => {
        catchUp = resolve;
      });
    },
    catchUp: () => catchUp(),
  };
}

test("a new life is let in only where all that the former ones have reported is known", async () => {
  const [clock, stop] = [new VirtualClock(), new AbortController()];
  const store = new MemoryStore({ clock, random });
  const late = lateStore(store);
  const [ahead, behind] = await Promise.all(
    [store, late].map((of) => openState({ store: of, clock, random, log }, stop.signal)),
  );
  const feed = new SyncFeed(behind!, clock);
  void feed.run(stop.signal);
  const session = new CentralSession({ state: behind!, clock, random, version: "v1" });
  const connections = new Connections(clock, log);
  const at = { state: behind!, feed, connections, session, takers, clock, random, log };
  await ahead!.transact((tx) => tx.put(kinds.partition, "p1", create(PartitionSchema, { id: "p1" })));
  const uuid = machineUuid(1);
  const report = (installedEpoch: bigint) =>
    ahead!.transact((tx) => {
      const cursor = { outbox: "o", sequence: installedEpoch, agent: "former" };
      tx.put(kinds.reportCursor, "p1", create(ReportCursorSchema, cursor));
      tx.put(kinds.machineObserved, uuid, create(MachineObservedSchema, { uuid, partition: "p1", installedEpoch }));
    });
  await report(1n);
  await turns();
  const followed = (agent: string) => {
    const request = { partition: "p1", agent, protocol: 3, outbox: "set back", former: [] };
    return followPartition(at, create(FollowRequestSchema, request), stop.signal).next();
  };
  await session.hold();

  late.lag();
  await report(2n);
  const refused = assert.rejects(followed("new"), /what its agent has told cannot be looked up/);
  for (let i = 0; i < 20; i++, await turns()) clock.advance(1_000);
  await refused;
  late.catchUp();
  await turns();
  const { event } = (await followed("new")).value as FollowResponse;
  assert.ok(event.case === "recollection");
  assert.equal(fromBinary(MachineObservedSchema, event.value.entries[0]!.value).installedEpoch, 2n);
  await Promise.all([ahead!.close(), behind!.close()]);
  stop.abort();
});
