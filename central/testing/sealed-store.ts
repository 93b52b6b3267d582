import { Refusal } from "#lib/refusal.ts";
import type { Commit, Committed } from "../store/store.ts";
import { WrappedStore } from "./wrapped-store.ts";

/** A store that a test can seal: from then on nothing changes any more, and it has what was to be written. */
export class SealedStore extends WrappedStore {
  #isSealed = false;
  /** What was to be written since it was sealed. */
  attempts: Commit[] = [];

  seal(): void {
    this.#isSealed = true;
  }

  override async commit(commit: Commit): Promise<Committed> {
    if (!this.#isSealed) return await super.commit(commit);
    this.attempts.push(commit);
    throw new Refusal("conflict", "the test's store is sealed", { reason: "SEALED" });
  }
}
