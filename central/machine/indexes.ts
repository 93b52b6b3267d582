import { machineLabel } from "#domain/ip/machine-label.ts";
import type { Index } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

export interface MachineIndexes {
  readonly byPartition: Index<typeof kinds.machineDesired>;
  readonly byProject: Index<typeof kinds.machineDesired>;
  readonly ipsByMachine: Index<typeof kinds.ip>;
}

/** Asked more than once it gives the same indexes. */
export const machineIndexes = (state: State): MachineIndexes => ({
  byPartition: state.index(kinds.machineDesired, "partition", (m) => m.partition),
  byProject: state.index(kinds.machineDesired, "project", (m) => m.allocation?.project),
  ipsByMachine: state.index(kinds.ip, "machine", (ip) => ip.meta?.labels?.labels[machineLabel]),
});
