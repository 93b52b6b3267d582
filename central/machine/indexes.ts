import { unavailability, type Wanted } from "#domain/machine/placement.ts";
import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
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
  /** Those that can be had, by `placeKey`. */
  readonly free: Index<typeof kinds.machineObserved>;
  /** Those of projects, by `rackKeys`: what decides where the next one of a project is to stand. */
  readonly inRack: Index<typeof kinds.machineObserved>;
  readonly byImage: Index<typeof kinds.machineDesired>;
  readonly ipsByMachine: Index<typeof kinds.ip>;
}

export const placeKey = ({ partition, size }: { readonly partition: string; readonly size: string }): string =>
  JSON.stringify([partition, size]);

/** What a machine of a project counts for in its rack: first its size and role, then each of its placement labels. */
export const rackKeys = (m: Wanted & { readonly rack: string }): readonly string[] =>
  [[m.size, m.role], ...Object.entries(m.placementLabels)].map((what) =>
    JSON.stringify([m.partition, m.rack, m.project, ...what]),
  );

/** Asked more than once it gives the same indexes. */
export const machineIndexes = (state: State): MachineIndexes => ({
  byPartition: state.index(kinds.machineDesired, "partition", (m) => m.partition),
  byProject: state.index(kinds.machineDesired, "project", (m) => m.allocation?.project),
  byLabel: labelIndex(state, kinds.machineDesired, ({ meta, allocation }) => ({
    ...meta?.labels?.labels,
    ...allocation?.meta?.labels?.labels,
  })),
  free: state.index(kinds.machineObserved, "free", freeAt, kinds.machineDesired),
  inRack: state.index(kinds.machineObserved, "in-rack", inRack, kinds.machineDesired),
  byImage: state.index(kinds.machineDesired, "image", (m) => m.allocation?.image?.id),
  ipsByMachine: ipIndexes(state).byMachine,
});

const freeAt = (observed: MachineObserved, desired: MachineDesired | undefined): string | undefined =>
  desired && unavailability({ desired, observed }, "choice") === undefined
    ? placeKey({ partition: desired.partition, size: observed.size })
    : undefined;

function inRack({ rack, size }: MachineObserved, desired: MachineDesired | undefined): readonly string[] {
  if (desired?.allocation === undefined) return [];
  const { partition, allocation } = desired;
  const { project, allocationType: role, placementLabels } = allocation;
  return rackKeys({ partition, rack, project, size, role, placementLabels: placementLabels?.labels ?? {} });
}
