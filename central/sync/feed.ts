// What the agents of all partitions follow, projected once: a change of the store is looked at once, however many agents listen, and
// wakes only those that it concerns.

import type { DesiredItem } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { Bell } from "#lib/bell.ts";
import type { Clock } from "#lib/clock.ts";
import { Refusal } from "#lib/refusal.ts";
import type { ChangeBatch } from "../store/cache.ts";
import type { State } from "../store/state.ts";
import { desiredItem, everywhere, isFollowed, placesOf } from "./projection.ts";

/** Revisions kept in memory for agents that come back: with less than this many missed, they get deltas instead of a snapshot. */
const keptMax = 10_000;
/** Streams that are woken at once: what they say leaves when all of them have said it, and those who get it can begin with it meanwhile. */
const wokenAtOnce = 16;

/** What one revision changed, as the agents see it. */
export interface Projected {
  readonly revision: bigint;
  /** Of every partition. */
  readonly shared: readonly DesiredItem[];
  /** Of single ones, by partition. */
  readonly own: ReadonlyMap<string, readonly DesiredItem[]>;
}

/** @returns undefined when no agent follows any of it */
export function projected({ revision, changes }: ChangeBatch): Projected | undefined {
  const shared: DesiredItem[] = [];
  const own = new Map<string, DesiredItem[]>();
  for (const { kind, id, value, before } of changes) {
    if (!isFollowed(kind)) continue;
    const now = value === undefined ? undefined : placesOf(kind, id, value);
    const was = before === undefined ? undefined : placesOf(kind, id, before);
    if (now === everywhere) {
      shared.push(desiredItem(kind, id, revision, value));
      continue;
    }
    // From everywhere into one partition: it is gone for all, and there again for the one.
    if (was === everywhere) shared.push(desiredItem(kind, id, revision, undefined));
    else if (was !== undefined && was !== now) add(own, was, desiredItem(kind, id, revision, undefined));
    if (now !== undefined) add(own, now, desiredItem(kind, id, revision, value));
  }
  return shared.length === 0 && own.size === 0 ? undefined : { revision, shared, own };
}

function add(own: Map<string, DesiredItem[]>, partition: string, item: DesiredItem): void {
  const items = own.get(partition) ?? [];
  items.push(item);
  own.set(partition, items);
}

/** One partition's part of a revision; empty when it has none. */
export const itemsFor = ({ shared, own }: Projected, partition: string): readonly DesiredItem[] => {
  const items = own.get(partition);
  if (items === undefined) return shared;
  return shared.length === 0 ? items : [...shared, ...items];
};

/**
 * The last changes of what agents follow, so that an agent's cursor can be resumed, and the next ones as they come. Begins empty at every
 * start of central. What nobody follows, above all the reports of the agents themselves, is not kept: it is most of the changes and
 * the largest.
 */
export class SyncFeed {
  readonly #state: State;
  readonly #clock: Clock;
  readonly #max: number;
  readonly #kept: Projected[] = [];
  readonly #bells = new Map<string, Bell>();
  #history = "";
  /** Everything after this revision is held. */
  #from = 0n;
  #to = 0n;
  /** Rises whenever what is held begins anew. */
  #generation = 0;

  /** @param max revisions that are kept */
  constructor(state: State, clock: Clock, max: number = keptMax) {
    this.#state = state;
    this.#clock = clock;
    this.#max = max;
  }

  /** Until the signal aborts or the state closes. A restored store ends what is held, not the holding. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        return await this.#hold(signal);
      } catch {
        // The state says in the log why it ended all subscriptions; what was held is of no use any more.
      } finally {
        this.#generation++;
        for (const bell of this.#bells.values()) bell.ring();
      }
    }
  }

  async #hold(signal: AbortSignal): Promise<void> {
    const changes = this.#state.changes(signal);
    this.#kept.length = 0;
    this.#history = this.#state.history;
    this.#from = this.#to = this.#state.revision;
    for await (const batch of changes) {
      const next = projected(batch);
      this.#to = batch.revision;
      if (!next) continue;
      this.#kept.push(next);
      const dropped = this.#kept.length > this.#max ? this.#kept.shift() : undefined;
      if (dropped) this.#from = dropped.revision;
      if (next.shared.length > 0) await this.#ringAll();
      else for (const partition of next.own.keys()) this.#bells.get(partition)?.ring();
    }
  }

  async #ringAll(): Promise<void> {
    let woken = 0;
    for (const bell of this.#bells.values()) {
      bell.ring();
      if (++woken % wokenAtOnce === 0) await this.#clock.sleep(0);
    }
  }

  /** Whether everything that came after a revision of that history is held. After 0 it never is: who has nothing gets a snapshot. */
  holdsSince(history: string, after: bigint): boolean {
    const isSame = history === this.#history && history === this.#state.history;
    return isSame && after > 0n && after >= this.#from && after <= this.#to;
  }

  /** Up to where one has come who has taken all that is held. */
  get revision(): bigint {
    return this.#to;
  }

  /** Of one partition, from a revision on. Opened at once: what changes from now on is in it. */
  open(partition: string, after: bigint): Reader {
    const bell = this.#bells.get(partition) ?? new Bell();
    this.#bells.set(partition, bell);
    const generation = this.#generation;
    let at = after;
    return {
      bell,
      get at() {
        return at;
      },
      take: () => {
        if (generation !== this.#generation || at < this.#from)
          throw new Refusal("unavailable", "the stream cannot go on, call again: central begins its feed anew", {
            reason: "STREAM_BROKEN_OFF",
          });
        for (let i = firstAfter(this.#kept, at); i < this.#kept.length; i++) {
          const next = this.#kept[i]!;
          at = next.revision;
          const items = itemsFor(next, partition);
          if (items.length > 0) return { revision: at, items };
        }
        if (this.#to > at) at = this.#to;
        return undefined;
      },
    };
  }
}

export interface Reader {
  /** Rung when there may be more to take. */
  readonly bell: Bell;
  /** Everything up to this revision was taken. */
  readonly at: bigint;
  /**
   * The next revision that concerns the partition; undefined: none yet.
   * @throws Refusal "unavailable" when some of what comes next is not held any more
   */
  readonly take: () => Revised | undefined;
}

/** What one revision changed for one partition. Those that get the same have the same array. */
export interface Revised {
  readonly revision: bigint;
  readonly items: readonly DesiredItem[];
}

/** Index of the first one after the revision; most readers have taken nearly all. */
function firstAfter(kept: readonly Projected[], revision: bigint): number {
  let i = kept.length;
  while (i > 0 && kept[i - 1]!.revision > revision) i--;
  return i;
}
