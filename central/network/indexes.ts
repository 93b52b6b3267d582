import type { Index } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import { labelIndex, ownLabels } from "../store/narrow.ts";
import type { State } from "../store/state.ts";

interface NetworkIndexes {
  readonly byParent: Index<typeof kinds.network>;
  readonly byProject: Index<typeof kinds.network>;
  readonly byLabel: Index<typeof kinds.network>;
}

/** Asked more than once it gives the same indexes. */
export const networkIndexes = (state: Pick<State, "index">): NetworkIndexes => ({
  byParent: state.index(kinds.network, "parent", (n) => n.parentNetwork),
  byProject: state.index(kinds.network, "project", (n) => n.project),
  byLabel: labelIndex(state, kinds.network, ownLabels),
});
