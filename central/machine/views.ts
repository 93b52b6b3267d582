import { composeMachine } from "#domain/machine/compose.ts";
import type { MachineView } from "#domain/machine/placement.ts";
import type { Machine } from "#gen/metalstack/api/v2/machine_pb.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

/** Both sides of a machine, from the cache. */
export function viewOf(state: State, uuid: string): MachineView | undefined {
  const desired = state.get(kinds.machineDesired, uuid)?.value;
  return desired && { desired, observed: state.get(kinds.machineObserved, uuid)?.value };
}

export const viewsOf = (state: State): readonly MachineView[] =>
  state.list(kinds.machineDesired).map(({ id, value }) => ({
    desired: value,
    observed: state.get(kinds.machineObserved, id)?.value,
  }));

/** As the public API shows it. */
export const apiMachine = (state: State, { desired, observed }: MachineView): Machine =>
  composeMachine(desired, observed, {
    partition: (id) => state.get(kinds.partition, id)?.value,
    size: (id) => state.get(kinds.size, id)?.value,
  });
