// Machines given away by centrals over one store, and what the same commits cost without them.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { creator } from "#central/machine/creator.ts";
import { keyOf, kinds } from "#central/store/kinds.ts";
import { openState } from "#central/store/state.ts";
import type { Commit, Store } from "#central/store/store.ts";
import { CentralSession } from "#central/sync/central-session.ts";
import { aWaiting, machineCentral, machineUuid } from "#central/testing/machines.ts";
import { firstDesired } from "#domain/machine/first-desired.ts";
import { MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { ImageService as AdminImageService } from "#gen/metalstack/admin/v2/image_pb.ts";
import { OptimisticLockingStrategy } from "#gen/metalstack/api/v2/common_pb.ts";
import {
  type MachineServiceCreateRequest,
  MachineServiceCreateRequestSchema,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { CountedStore } from "./counted-store.ts";
import { type Run, run } from "./load.ts";
import { computedMicros } from "./protocol.ts";
import type { RawEtcd } from "./raw-etcd.ts";

/** Of one process. */
export interface Amount {
  readonly calls: number;
  readonly inFlight: number;
}

export interface Given extends Run {
  /** Commits that were refused, because somebody else was first. */
  readonly lost: number;
  /** Microseconds of computing, of all threads. */
  readonly computed: number;
  /** Of one creation. */
  readonly commit: Commit;
}

const image = "debian-13.0.2";
/** Machines that one commit brings. */
const together = 50;

/** @returns a request that each of the machines fits */
export async function fillRoom(store: Store, machines: number): Promise<MachineServiceCreateRequest> {
  const seeding = await machineCentral(store);
  const { project, network, state } = seeding;
  // The seeding's clock stands somewhere else.
  await seeding.client(AdminImageService).update({
    id: image,
    updateMeta: { lockingStrategy: OptimisticLockingStrategy.SERVER },
    expiresAt: timestampFromMs(clock.wallMs() + dayMs),
  });
  for (let first = 1; first <= machines; first += together) {
    await state.transact((tx) => {
      for (let n = first; n < first + together && n <= machines; n++) {
        const uuid = machineUuid(n);
        const seen = { ...aWaiting(uuid), partition: "lab", rack: `rack${n % 10}` };
        tx.put(kinds.machineObserved, uuid, create(MachineObservedSchema, seen));
        tx.put(kinds.machineDesired, uuid, firstDesired(create(MachineObservedSchema, { uuid, partition: "lab" }), 1));
      }
    });
  }
  // Else one seat more would be kept free for a central that takes nothing.
  await seeding.cutLink();
  await seeding.close();
  const wanted = { project, name: "web", image, partition: "lab", size: "small" };
  return create(MachineServiceCreateRequestSchema, { ...wanted, networks: [{ network }] });
}

/** One central, ready to give machines away. */
export async function openCentral(store: Store) {
  let lost = 0;
  let commit: Commit | undefined;
  const counted = new CountedStore(store, (given, committed) => {
    if (committed.ok) commit = given;
    else lost++;
  });
  const stop = new AbortController();
  const state = await openState({ store: counted, clock, random, log }, stop.signal);
  const session = new CentralSession({ state, clock, random, version: "bench" });
  await session.hold();
  const give = creator({ state, clock, random, session });
  return {
    async giveAway(request: MachineServiceCreateRequest, { calls, inFlight }: Amount): Promise<Given> {
      const before = computedMicros();
      const cause = { actor: "ann", method: "", reason: "" };
      const figures = await run(calls, inFlight, () => give(request, { cause, keep: () => {} }));
      if (commit === undefined) throw new Error("nothing was committed");
      return { ...figures, lost, computed: computedMicros() - before, commit };
    },
    async close() {
      stop.abort();
      await state.close();
    },
  };
}

/** @throws when not all machines are allocated, or any two have the same address */
export async function checkRoom(store: Store, machines: number): Promise<void> {
  const { items } = await store.list(keyOf(kinds.ip, ""));
  const stop = new AbortController();
  const state = await openState({ store, clock, random, log }, stop.signal);
  const allocations = state.list(kinds.machineDesired).flatMap(({ value }) => value.allocation ?? []);
  stop.abort();
  await state.close();
  const addresses = new Set(allocations.flatMap((a) => a.networks.flatMap((n) => n.ips)));
  if (allocations.length === machines && addresses.size === machines && items.length === machines) return;
  throw new Error(`of ${machines} machines ${allocations.length} were given away, with ${addresses.size} addresses`);
}

/** As many commits of that shape, each with keys of its own. */
export async function commitRaw(
  peer: RawEtcd,
  prefix: string,
  shape: Commit,
  { calls, inFlight }: Amount,
): Promise<Run> {
  return run(calls, inFlight, (i) => {
    const own = (n: number) => `${prefix}/${i}/${n}`;
    return peer.commit({
      conditions: shape.conditions.map((_, n) => ({ key: own(n), revision: 0n })),
      puts: shape.puts.map(({ value }, n) => ({ key: own(n), value })),
      deletes: [],
    });
  });
}
