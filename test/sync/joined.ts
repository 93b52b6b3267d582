// The shipped central feed and the shipped agent link, joined in memory.
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { Ledger } from "#agent/ledger/ledger.ts";
import { CentralTime } from "#agent/link/central-time.ts";
import { Link, type SyncClient } from "#agent/link/link.ts";
import { Lives } from "#agent/link/lives.ts";
import { Observations } from "#agent/observations/observations.ts";
import { Outbox } from "#agent/outbox/outbox.ts";
import { kinds } from "#central/store/kinds.ts";
import { MemoryStore } from "#central/store/memory-store.ts";
import { openState, type State } from "#central/store/state.ts";
import { CentralSession } from "#central/sync/central-session.ts";
import { Connections } from "#central/sync/connections.ts";
import { SyncFeed } from "#central/sync/feed.ts";
import { followPartition } from "#central/sync/follow.ts";
import { takeReport } from "#central/sync/report.ts";
import { takers } from "#central/sync/take-entry.ts";
import type { Takers } from "#central/sync/took.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { ReportResponseSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { systemRandom } from "#lib/io/system-random.ts";
import { silentLog } from "#lib/log.ts";
import type { MemoryDisk } from "#lib/memory-disk.ts";
import type { VirtualClock } from "#lib/virtual-clock.ts";

export const uuid = "0e6a6e2c-93c4-4a67-9b5f-000000000001";
const stops: AbortController[] = [];

/** Ends all that was started. */
export function stopAll(): void {
  for (const stop of stops.splice(0)) stop.abort();
}

export async function startCentral(
  clock: VirtualClock,
  store = new MemoryStore({ clock, random: systemRandom }),
  known: Takers = takers,
) {
  const stop = new AbortController();
  stops.push(stop);
  const state = await openState({ store, clock, random: systemRandom, log: silentLog }, stop.signal);
  const feed = new SyncFeed(state, clock);
  void feed.run(stop.signal).catch(() => {});
  const ports = {
    state,
    feed,
    connections: new Connections(clock, silentLog),
    session: new CentralSession({ state, clock, random: systemRandom, version: "v1" }),
    takers: known,
    clock,
    random: systemRandom,
    log: silentLog,
  };
  return { store, state, ports, stop };
}

export type Central = Awaited<ReturnType<typeof startCentral>>;

export async function startAgent(
  clock: VirtualClock,
  disk: MemoryDisk,
  reach: () => Central | undefined,
  isAnswered: () => boolean = () => true,
) {
  const stop = new AbortController();
  stops.push(stop);
  const snapshots = { count: 0 };
  const client: SyncClient = {
    async *follow(request, signal) {
      const central = reach();
      if (!central) throw new Error("central is away");
      for await (const message of followPartition(
        central.ports,
        request,
        AbortSignal.any([signal, central.stop.signal]),
      )) {
        if (message.event.case === "snapshotEnd") snapshots.count++;
        yield message;
      }
    },
    async report(request) {
      const central = reach();
      if (!central) throw new Error("central is away");
      const taken = await takeReport(central.state, clock, request, central.ports.takers);
      if (!isAnswered()) throw new Error("the answer is lost");
      return create(ReportResponseSchema, taken);
    },
  };
  const changed: string[] = [];
  const ledger = new Ledger(disk, silentLog, (kind, id) => changed.push(`${kind}/${id}`));
  const wake = { ring: () => {} };
  const outbox = await Outbox.open(disk, systemRandom, silentLog, () => wake.ring());
  const observations = new Observations({ partition: "p1", disk, outbox, clock, log: silentLog, changed: () => {} });
  const centralTime = new CentralTime(clock, () => {});
  const link = new Link({
    partition: "p1",
    centralTime,
    lives: await Lives.open({ disk, present: systemRandom.uuid(), log: silentLog }, outbox.sequence),
    client,
    ledger,
    outbox,
    told: () => observations.told.history,
    displaced: () => {},
    tellAll: (to) => observations.tellAll(to),
    async recollect({ outdatedOutbox, entries }) {
      if (outdatedOutbox === outbox.id) await outbox.becomeAnother();
      await observations.recollect(entries);
    },
    upToDate: async () => {},
    clock,
    random: systemRandom,
    log: silentLog,
  });
  wake.ring = () => link.wake();
  void link.run(stop.signal);
  return { ledger, outbox, observations, link, changed, snapshots, stop };
}

/** Lets everything run, moving time on, until the condition holds. */
export async function until(clock: VirtualClock, what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 2000; i++) {
    if (condition()) return;
    await turn();
    if (i % 10 === 9) clock.advance(1000);
  }
  assert.fail(`never happened: ${what}`);
}

export const onRack = (rack: string) => (m: MachineObserved) => {
  m.rack = rack;
};

export const putPartition = (state: State) =>
  state.transact((tx) => tx.put(kinds.partition, "p1", create(PartitionSchema, { id: "p1" })));
