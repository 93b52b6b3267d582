import { unavailability, type Wanted } from "#domain/machine/placement.ts";
import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { ipIndexes } from "../ip/indexes.ts";
import type { Grouping, Index, Place } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import { labelIndex } from "../store/narrow.ts";
import type { State } from "../store/state.ts";

export interface MachineIndexes {
  readonly byPartition: Index<typeof kinds.machineDesired>;
  readonly byProject: Index<typeof kinds.machineDesired>;
  /** By each label, of the machine and of its allocation. */
  readonly byLabel: Index<typeof kinds.machineDesired>;
  /** Those that can be had, by `placeKey` and rack. */
  readonly free: Grouping<typeof kinds.machineObserved>;
  /** Those of projects, by `alikeKeys` and rack: what decides where the next one of a project is to stand. */
  readonly alike: Grouping<typeof kinds.machineObserved>;
  readonly byImage: Index<typeof kinds.machineDesired>;
  readonly ipsByMachine: Index<typeof kinds.ip>;
}

export const placeKey = ({ partition, size }: { readonly partition: string; readonly size: string }): string =>
  JSON.stringify([partition, size]);

/** What a machine of a project counts for in its rack: first its size and role, then each of its placement labels. */
export const alikeKeys = (m: Wanted): readonly string[] =>
  [[m.size, m.role], ...Object.entries(m.placementLabels)].map((what) =>
    JSON.stringify([m.partition, m.project, ...what]),
  );

/** Asked more than once it gives the same indexes. */
export const machineIndexes = (state: State): MachineIndexes => ({
  byPartition: state.index(kinds.machineDesired, "partition", (m) => m.partition),
  byProject: state.index(kinds.machineDesired, "project", (m) => m.allocation?.project),
  byLabel: labelIndex(state, kinds.machineDesired, ({ meta, allocation }) => ({
    ...meta?.labels?.labels,
    ...allocation?.meta?.labels?.labels,
  })),
  free: state.grouping(kinds.machineObserved, "free", freeAt, kinds.machineDesired),
  alike: state.grouping(kinds.machineObserved, "alike", alikeAt, kinds.machineDesired),
  byImage: state.index(kinds.machineDesired, "image", (m) => m.allocation?.image?.id),
  ipsByMachine: ipIndexes(state).byMachine,
});

const freeAt = (observed: MachineObserved, desired: MachineDesired | undefined): readonly Place[] =>
  desired && unavailability({ desired, observed }, "choice") === undefined
    ? [{ key: placeKey({ partition: desired.partition, size: observed.size }), group: observed.rack }]
    : [];

function alikeAt({ rack, size }: MachineObserved, desired: MachineDesired | undefined): readonly Place[] {
  if (desired?.allocation === undefined) return [];
  const { partition, allocation } = desired;
  const { project, allocationType: role, placementLabels } = allocation;
  const keys = alikeKeys({ partition, project, size, role, placementLabels: placementLabels?.labels ?? {} });
  return keys.map((key) => ({ key, group: rack }));
}
