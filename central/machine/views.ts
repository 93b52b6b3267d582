import { composeMachine } from "#domain/machine/compose.ts";
import type { MachineView } from "#domain/machine/placement.ts";
import { matchesMachine } from "#domain/machine/query.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Machine, MachineQuery } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Stored } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import { firstLabel, type Hint, narrowed } from "../store/narrow.ts";
import type { State } from "../store/state.ts";
import { machineIndexes } from "./indexes.ts";

/** Both sides of a machine, from the cache. */
export function viewOf(state: State, uuid: string): MachineView | undefined {
  const desired = state.get(kinds.machineDesired, uuid)?.value;
  return desired && { desired, observed: state.get(kinds.machineObserved, uuid)?.value };
}

export const viewsOfRows = (
  state: Pick<State, "get">,
  rows: readonly Stored<MachineDesired>[],
): readonly MachineView[] =>
  rows.map(({ id, value }) => ({ desired: value, observed: state.get(kinds.machineObserved, id)?.value }));

export const viewsOf = (state: State): readonly MachineView[] => viewsOfRows(state, state.list(kinds.machineDesired));

/** Those for which a query holds. */
export function viewsMatching(state: State, query: MachineQuery | undefined): readonly MachineView[] {
  if (query?.uuid !== undefined) {
    const only = viewOf(state, query.uuid);
    return only && matchesMachine(only, query) ? [only] : [];
  }
  const indexes = machineIndexes(state);
  const hints: readonly Hint<typeof kinds.machineDesired>[] = [
    [indexes.byLabel, firstLabel(query?.labels) ?? firstLabel(query?.allocation?.labels)],
    [indexes.byProject, query?.allocation?.project],
    [indexes.byImage, query?.allocation?.image],
    [indexes.byPartition, query?.partition],
  ];
  const views = viewsOfRows(state, narrowed(state, kinds.machineDesired, hints));
  return views.filter((view) => matchesMachine(view, query));
}

export const viewsOfPartition = (state: State, partition: string): readonly MachineView[] =>
  viewsOfRows(state, state.by(machineIndexes(state).byPartition, partition));

/** As the public API shows it. */
export const apiMachine = (state: State, { desired, observed }: MachineView): Machine =>
  composeMachine(desired, observed, {
    partition: (id) => state.get(kinds.partition, id)?.value,
    size: (id) => state.get(kinds.size, id)?.value,
  });
