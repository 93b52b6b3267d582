import type { Commit, Committed, Store } from "#central/store/store.ts";

/** The store itself, that tells of each commit what came of it. */
export const countedStore = (store: Store, told: (commit: Commit, committed: Committed) => void): Store => ({
  history: () => store.history(),
  read: (key) => store.read(key),
  list: (prefix) => store.list(prefix),
  watch: (wanted, signal) => store.watch(wanted, signal),
  compact: (revision) => store.compact(revision),
  close: () => store.close(),
  async commit(commit) {
    const committed = await store.commit(commit);
    told(commit, committed);
    return committed;
  },
});
