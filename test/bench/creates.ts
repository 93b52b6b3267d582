// Machines given away by several centrals over one store, and what the same commits cost without them.
import { setMaxListeners } from "node:events";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { creator } from "#central/machine/creator.ts";
import { keyOf, kinds } from "#central/store/kinds.ts";
import { openState, type State } from "#central/store/state.ts";
import type { Commit, Store } from "#central/store/store.ts";
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
import { countedStore } from "./counted-store.ts";
import { type Load, load } from "./load.ts";
import type { RawEtcd } from "./raw-etcd.ts";

export interface Amount {
  readonly machines: number;
  readonly inFlight: number;
}

export interface Given {
  readonly load: Load;
  /** Commits that were refused because somebody else was first. */
  readonly lost: number;
  /** Machines that are allocated afterwards. */
  readonly allocated: number;
  /** Of one creation. */
  readonly commit: Commit;
}

const image = "debian-13.0.2";

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
  for (let n = 1; n <= machines; n++) {
    const uuid = machineUuid(n);
    const seen = { ...aWaiting(uuid), partition: "lab", rack: `rack${n % 10}` };
    const observed = create(MachineObservedSchema, seen);
    await state.transact((tx) => {
      tx.put(kinds.machineObserved, uuid, observed);
      tx.put(kinds.machineDesired, uuid, firstDesired(create(MachineObservedSchema, { uuid, partition: "lab" }), 1));
    });
  }
  await seeding.close();
  const wanted = { project, name: "web", image, partition: "lab", size: "small" };
  return create(MachineServiceCreateRequestSchema, { ...wanted, networks: [{ network }] });
}

/** @param stores one for each central, all of the same content */
export async function giveAway(
  stores: readonly Store[],
  request: MachineServiceCreateRequest,
  { machines, inFlight }: Amount,
): Promise<Given> {
  let lost = 0;
  let commit: Commit | undefined;
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const counted = (store: Store) =>
    countedStore(store, (given, isDone) => {
      if (isDone) commit = given;
      else lost++;
    });
  const states: State[] = [];
  for (const store of stores) states.push(await openState({ store: counted(store), clock, random, log }, stop.signal));
  const creators = states.map((state) => creator({ state, clock, random }));
  const figures = await load(machines, inFlight, (i) =>
    creators[i % creators.length]!(request, { cause: { actor: "ann", method: "", reason: "" }, keep: () => {} }),
  );
  const { items } = await stores[0]!.list(keyOf(kinds.ip, ""));
  stop.abort();
  for (const state of states) await state.close();
  if (commit === undefined) throw new Error("nothing was committed");
  return { load: figures, lost, allocated: items.length, commit };
}

/** As many commits of that shape, each with keys of its own. */
export async function commitRaw(
  peers: readonly RawEtcd[],
  shape: Commit,
  { machines, inFlight }: Amount,
): Promise<Load> {
  return load(machines, inFlight, (i) => {
    const own = (n: number) => `${i}/${n}`;
    return peers[i % peers.length]!.commit({
      conditions: shape.conditions.map((_, n) => ({ key: own(n), revision: 0n })),
      puts: shape.puts.map(({ value }, n) => ({ key: own(n), value })),
      deletes: [],
    });
  });
}
