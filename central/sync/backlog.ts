import type { ChangeBatch } from "../store/cache.ts";
import type { State } from "../store/state.ts";

/** Revisions kept in memory for agents that come back: with less than this many missed, they get deltas instead of a snapshot. */
export const backlogMax = 10_000;

/** The last batches of changes, so that an agent's cursor can be resumed. Begins empty at every start of central. */
export class SyncBacklog {
  readonly #state: State;
  readonly #batches: ChangeBatch[] = [];
  /** Everything after this revision is held. */
  #from: bigint;
  #to: bigint;

  constructor(state: State) {
    this.#state = state;
    this.#from = state.revision;
    this.#to = state.revision;
  }

  async run(signal: AbortSignal): Promise<void> {
    const changes = this.#state.changes(signal);
    this.#from = this.#to = this.#state.revision;
    for await (const batch of changes) {
      this.#batches.push(batch);
      this.#to = batch.revision;
      const dropped = this.#batches.length > backlogMax ? this.#batches.shift() : undefined;
      if (dropped) this.#from = dropped.revision;
    }
  }

  /**
   * What came after a revision, up to and including `upTo`.
   * @returns undefined when some of it is not held (any more, or yet)
   */
  between(after: bigint, upTo: bigint): readonly ChangeBatch[] | undefined {
    if (after < this.#from || this.#to < upTo || after > upTo) return undefined;
    return this.#batches.filter((b) => b.revision > after && b.revision <= upTo);
  }
}
