import { machineOf } from "#domain/ip/machine-label.ts";
import type { Index } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import { labelIndex, ownLabels } from "../store/narrow.ts";
import type { State } from "../store/state.ts";

interface IpIndexes {
  /** By the machine that uses the address. */
  readonly byMachine: Index<typeof kinds.ip>;
  readonly byNetwork: Index<typeof kinds.ip>;
  readonly byProject: Index<typeof kinds.ip>;
  readonly byLabel: Index<typeof kinds.ip>;
}

/** Asked more than once it gives the same indexes. */
export const ipIndexes = (state: Pick<State, "index">): IpIndexes => ({
  byMachine: state.index(kinds.ip, "machine", machineOf),
  byNetwork: state.index(kinds.ip, "network", (ip) => ip.network),
  byProject: state.index(kinds.ip, "project", (ip) => ip.project),
  byLabel: labelIndex(state, kinds.ip, ownLabels),
});
