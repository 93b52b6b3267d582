// Keeps the cache at the store: list once, then watch; list again when the watch cannot go on.
import { Bell } from "#lib/bell.ts";
import { reasonOf } from "#lib/reason-of.ts";
import { sometimes } from "#lib/sometimes.ts";
import { AwaitedRevisions } from "./awaited-revisions.ts";
import type { Cache, Change } from "./cache.ts";
import type { ChangeFeed } from "./change-feed.ts";
import type { StatePorts } from "./state.ts";
import { Compacted, StoreUnavailable } from "./store.ts";

/** Ends every subscription of a state whose store was restored or made anew: subscribe again and take a new snapshot. */
export class HistoryChanged extends Error {
  constructor(before: string, now: string) {
    super(`the store's history is ${now}, no longer ${before}: it was restored or made anew`);
    this.name = "HistoryChanged";
  }
}

/** How long a commit may be ahead of the cache before its caller is told. */
const catchUpMs = 10_000;
const backoffMs = { first: 100, most: 5_000 } as const;

export class Follower {
  /** Rung whenever the cache has moved. */
  readonly moved = new Bell();
  readonly awaited: AwaitedRevisions;
  readonly #ports: StatePorts;
  readonly #cache: Cache;
  readonly #feed: ChangeFeed;
  #history = "";
  #away: string | undefined;
  #failures = 0;

  constructor(ports: StatePorts, cache: Cache, feed: ChangeFeed) {
    this.#ports = ports;
    this.#cache = cache;
    this.#feed = feed;
    this.awaited = new AwaitedRevisions(ports.clock, catchUpMs);
  }

  get history(): string {
    return this.#history;
  }

  get away(): string | undefined {
    return this.#away;
  }

  /** Fills the cache. Rejects only with the signal's reason. */
  async start(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      try {
        return await this.#fill();
      } catch (error) {
        await this.#failed(error, signal);
      }
    }
  }

  /** Runs until the signal aborts. */
  async follow(signal: AbortSignal): Promise<void> {
    let listAgain = false;
    while (!signal.aborted) {
      try {
        if (listAgain || (await this.#ports.store.history()) !== this.#history) await this.#fill();
        listAgain = false;
        await this.#watch(signal);
      } catch (error) {
        listAgain = error instanceof Compacted;
        if (listAgain) {
          sometimes(this.#ports.log, "the store had compacted what a watch wanted");
          this.#ports.log.warn("store-watch-compacted", { revision: this.#cache.revision, error });
        } else await this.#failed(error, signal).catch(() => undefined);
      }
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    this.#present();
    const after = this.#cache.revision;
    for await (const batch of this.#ports.store.watch({ prefix: "", after }, signal)) {
      this.#failures = 0;
      this.#publish(this.#cache.apply(batch));
    }
    if (!signal.aborted) throw new StoreUnavailable("the store ended its watch");
  }

  async #fill(): Promise<void> {
    const history = await this.#ports.store.history();
    const listing = await this.#ports.store.list("");
    const before = this.#history;
    this.#history = history;
    if (before !== "" && before !== history) {
      this.#ports.log.error("store-history-changed", { before, now: history, revision: listing.revision });
      this.#feed.endAll(new HistoryChanged(before, history));
      this.#cache.clear();
    }
    this.#publish(this.#cache.replace(listing));
    this.#ports.log.info("store-listed", { history, revision: listing.revision, items: listing.items.length });
    this.#present();
  }

  #publish(changes: readonly Change[]): void {
    if (changes.length > 0) this.#feed.publish({ revision: this.#cache.revision, changes });
    this.awaited.rise(this.#cache.revision);
    this.moved.ring();
  }

  #present(): void {
    if (this.#away !== undefined) this.#ports.log.info("store-back", { revision: this.#cache.revision });
    this.#away = undefined;
  }

  /** Says so once, then sleeps: twice as long after each failure in a row, and a random part of it. */
  async #failed(error: unknown, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const why = reasonOf(error);
    if (this.#away === undefined) this.#ports.log.warn("store-away", { why, revision: this.#cache.revision, error });
    this.#away = why;
    const ms = Math.min(backoffMs.first * 2 ** this.#failures, backoffMs.most);
    this.#failures++;
    await this.#ports.clock.sleep(ms / 2 + this.#ports.random.below(ms / 2), signal);
  }
}
