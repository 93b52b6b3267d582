import type { Commit, Committed, Store } from "../store/store.ts";

/** A store as it is: what a test wants otherwise is overridden. */
export class WrappedStore implements Store {
  readonly inner: Store;

  constructor(inner: Store) {
    this.inner = inner;
  }

  commit(commit: Commit): Promise<Committed> {
    return this.inner.commit(commit);
  }

  history = () => this.inner.history();
  read = (key: string) => this.inner.read(key);
  list = (prefix: string) => this.inner.list(prefix);
  watch = (wanted: Parameters<Store["watch"]>[0], signal: AbortSignal) => this.inner.watch(wanted, signal);
  compact = (revision: bigint) => this.inner.compact(revision);
  close = () => this.inner.close();
}
