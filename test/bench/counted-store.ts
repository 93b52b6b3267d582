import type { Commit, Committed, Store } from "#central/store/store.ts";
import { WrappedStore } from "#central/testing/wrapped-store.ts";

/** The store itself, that tells of each commit what came of it. */
export class CountedStore extends WrappedStore {
  readonly #told: (commit: Commit, committed: Committed) => void;

  constructor(inner: Store, told: (commit: Commit, committed: Committed) => void) {
    super(inner);
    this.#told = told;
  }

  override async commit(commit: Commit): Promise<Committed> {
    const committed = await super.commit(commit);
    this.#told(commit, committed);
    return committed;
  }
}
