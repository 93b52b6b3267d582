import { MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import { ipIndexes } from "../ip/indexes.ts";
import type { Index } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import { labelIndex } from "../store/narrow.ts";
import type { State } from "../store/state.ts";

export interface MachineIndexes {
  readonly byPartition: Index<typeof kinds.machineDesired>;
  readonly byProject: Index<typeof kinds.machineDesired>;
  /** By each label, of the machine and of its allocation. */
  readonly byLabel: Index<typeof kinds.machineDesired>;
  /** Those that wait and live, by `placeKey`. */
  readonly waiting: Index<typeof kinds.machineObserved>;
  readonly byImage: Index<typeof kinds.machineDesired>;
  readonly ipsByMachine: Index<typeof kinds.ip>;
}

export const placeKey = ({ partition, size }: { readonly partition: string; readonly size: string }): string =>
  JSON.stringify([partition, size]);

/** Asked more than once it gives the same indexes. */
export const machineIndexes = (state: State): MachineIndexes => ({
  byPartition: state.index(kinds.machineDesired, "partition", (m) => m.partition),
  byProject: state.index(kinds.machineDesired, "project", (m) => m.allocation?.project),
  byLabel: labelIndex(state, kinds.machineDesired, ({ meta, allocation }) => ({
    ...meta?.labels?.labels,
    ...allocation?.meta?.labels?.labels,
  })),
  waiting: state.index(kinds.machineObserved, "waiting", (m) =>
    m.waiting && m.liveliness === MachineLiveliness.ALIVE ? placeKey(m) : undefined,
  ),
  byImage: state.index(kinds.machineDesired, "image", (m) => m.allocation?.image?.id),
  ipsByMachine: ipIndexes(state).byMachine,
});
