import type { Commit, Store } from "#central/store/store.ts";

/** The store itself, that tells of each commit whether it went through. */
export const countedStore = (store: Store, told: (commit: Commit, isDone: boolean) => void): Store => ({
  history: () => store.history(),
  read: (key) => store.read(key),
  list: (prefix) => store.list(prefix),
  watch: (wanted, signal) => store.watch(wanted, signal),
  compact: (revision) => store.compact(revision),
  close: () => store.close(),
  async commit(commit) {
    const committed = await store.commit(commit);
    told(commit, committed.ok);
    return committed;
  },
});
