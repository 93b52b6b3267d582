// Several centrals over one store, which give away the same machines at the same time, each by what it sees itself.
import { setMaxListeners } from "node:events";
import { create } from "@bufbuild/protobuf";
import { firstDesired } from "#domain/machine/first-desired.ts";
import { type MachineDesired, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineServiceCreateRequestSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { creator } from "../machine/creator.ts";
import { kinds } from "../store/kinds.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { openState, type State } from "../store/state.ts";
import { CentralSession } from "../sync/central-session.ts";
import { aWaiting, type CreateInit, type MachineCentral, machineCentral, machineUuid } from "./machines.ts";

export interface SeveralCentrals {
  readonly state: State;
  /** Creates a machine as `MachineCentral.create` does, at one of the centrals, counted from 0. */
  createAt(central: number, more?: CreateInit): Promise<MachineDesired>;
  close(): Promise<void>;
}

/** @param fill puts what is there before the centrals start */
export async function severalCentrals(
  count: number,
  fill: (central: MachineCentral) => Promise<void>,
): Promise<SeveralCentrals> {
  const store = new MemoryStore({ clock, random });
  const seeding = await machineCentral(store);
  await fill(seeding);
  // Else there would be a seat for a central that takes nothing.
  await seeding.cutLink();
  // The images expire by that clock.
  const nowMs = seeding.clock.wallMs();
  await seeding.close();
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const states: State[] = [];
  for (let i = 0; i < count; i++) states.push(await openState({ store, clock, random, log }, stop.signal));
  const sessions = states.map((state) => new CentralSession({ state, clock, random, version: "test" }));
  for (const session of sessions) await session.hold();
  const creators = states.map((state, i) =>
    creator({ state, clock: { ...clock, wallMs: () => nowMs }, random, session: sessions[i]! }),
  );
  const by = { cause: { actor: "ann", method: "", reason: "" }, keep: () => {} };
  return {
    state: states[0]!,
    createAt: (central, more) =>
      creators[central]!(create(MachineServiceCreateRequestSchema, seeding.wanted(more)), by),
    async close() {
      stop.abort();
      for (const state of states) await state.close();
      await store.close();
    },
  };
}

/** Racks named "rack0" and so on, of so many free machines each. */
export async function fillRacks({ state }: MachineCentral, racks: number, perRack: number): Promise<void> {
  for (let n = 0; n < racks * perRack; n++) {
    const uuid = machineUuid(n + 1);
    const observed = create(MachineObservedSchema, { ...aWaiting(uuid), partition: "lab", rack: `rack${n % racks}` });
    await state.transact((tx) => {
      tx.put(kinds.machineObserved, uuid, observed);
      tx.put(kinds.machineDesired, uuid, firstDesired(create(MachineObservedSchema, { uuid, partition: "lab" }), 1));
    });
  }
}
