import { Refusal } from "#lib/refusal.ts";
import type { Commit, Committed, Store } from "../store/store.ts";

/** A store that a test can seal: from then on nothing changes any more, and it has what was to be written. */
export class SealedStore implements Store {
  readonly #inner: Store;
  #isSealed = false;
  /** What was to be written since it was sealed. */
  attempts: Commit[] = [];

  constructor(inner: Store) {
    this.#inner = inner;
  }

  seal(): void {
    this.#isSealed = true;
  }

  async commit(commit: Commit): Promise<Committed> {
    if (!this.#isSealed) return await this.#inner.commit(commit);
    this.attempts.push(commit);
    throw new Refusal("conflict", "the test's store is sealed", { reason: "SEALED" });
  }

  history = () => this.#inner.history();
  read = (key: string) => this.#inner.read(key);
  list = (prefix: string) => this.#inner.list(prefix);
  watch = (wanted: Parameters<Store["watch"]>[0], signal: AbortSignal) => this.#inner.watch(wanted, signal);
  compact = (revision: bigint) => this.#inner.compact(revision);
  close = () => this.#inner.close();
}
