import type { ChangeBatch } from "../store/cache.ts";
import type { State } from "../store/state.ts";
import { followed } from "./projection.ts";

/** Revisions kept in memory for agents that come back: with less than this many missed, they get deltas instead of a snapshot. */
const backlogMax = 10_000;

const followedNames: ReadonlySet<string> = new Set(followed.map((kind) => kind.name));

/**
 * The last changes of what agents follow, so that an agent's cursor can be resumed. Begins empty at every start of central. What
 * nobody follows, above all the reports of the agents themselves, is not kept: it is most of the changes and the largest.
 */
export class SyncBacklog {
  readonly #state: State;
  readonly #max: number;
  readonly #batches: ChangeBatch[] = [];
  #history = "";
  /** Everything after this revision is held. */
  #from = 0n;
  #to = 0n;

  /** @param max revisions that are kept */
  constructor(state: State, max: number = backlogMax) {
    this.#state = state;
    this.#max = max;
  }

  /** Until the signal aborts or the state closes. A restored store ends what is held, not the holding. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        return await this.#hold(signal);
      } catch {
        // The state says in the log why it ended all subscriptions; what was held is of no use any more.
      }
    }
  }

  async #hold(signal: AbortSignal): Promise<void> {
    const changes = this.#state.changes(signal);
    this.#batches.length = 0;
    this.#history = this.#state.history;
    this.#from = this.#to = this.#state.revision;
    for await (const { revision, changes: all } of changes) {
      this.#to = revision;
      const kept = all.filter((change) => followedNames.has(change.kind.name));
      if (kept.length === 0) continue;
      this.#batches.push({ revision, changes: kept });
      const dropped = this.#batches.length > this.#max ? this.#batches.shift() : undefined;
      if (dropped) this.#from = dropped.revision;
    }
  }

  /**
   * What came after a revision of the state's present history, up to and including `upTo`.
   * @returns undefined when some of it is not held (any more, or yet)
   */
  between(after: bigint, upTo: bigint): readonly ChangeBatch[] | undefined {
    if (this.#history !== this.#state.history) return undefined;
    if (after < this.#from || this.#to < upTo || after > upTo) return undefined;
    return this.#batches.filter((b) => b.revision > after && b.revision <= upTo);
  }
}
