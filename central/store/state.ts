// The one way in which central reads and changes what it stores: reads from a cache at a revision, changes as transactions.
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import type { Cause } from "../history/cause.ts";
import {
  Cache,
  type ChangeBatch,
  type Fold,
  type Grouping,
  type Groups,
  type Index,
  type KeysOf,
  type PlacesOf,
  type Stored,
} from "./cache.ts";
import { ChangeFeed } from "./change-feed.ts";
import { Follower } from "./follower.ts";
import type { Kind, Of } from "./kinds.ts";
import type { Store } from "./store.ts";
import { Transactor } from "./transactor.ts";
import type { Tx } from "./tx.ts";

export interface State {
  /** Id of the store's history; another one than before means restored or made anew: revisions do not compare. */
  readonly history: string;
  /** What reads see: everything up to this revision. */
  readonly revision: bigint;
  /** Why the store is out of reach, if it is: reads go on at `revision`, writes are refused. */
  readonly away: string | undefined;
  /** Keys whose stored bytes this version cannot read; they are left alone. */
  readonly unreadable: readonly string[];
  /** Values are shared: never change one, clone it first. */
  get<K extends Kind>(kind: K, id: string): Stored<Of<K>> | undefined;
  /** In id order. */
  list<K extends Kind>(kind: K, where?: (value: Of<K>) => boolean): readonly Stored<Of<K>>[];
  /**
   * Registers an index that is kept from now on; the same name gives the same index.
   * @param beside a kind whose thing of the same id is looked at as well, and may be absent
   */
  index<K extends Kind, B extends Kind>(kind: K, name: string, keysOf: KeysOf<K, B>, beside?: B): Index<K>;
  /** Those whose value has this key under the index, in id order. */
  by<K extends Kind>(index: Index<K>, key: string): readonly Stored<Of<K>>[];
  /** Registers a grouping that is kept from now on; the same name gives the same one. */
  grouping<K extends Kind, B extends Kind>(kind: K, name: string, placesOf: PlacesOf<K, B>, beside?: B): Grouping<K>;
  /** Those whose value has this key under the grouping, by their groups. */
  groups<K extends Kind>(grouping: Grouping<K>, key: string): Groups<K>;
  /** Registers a fold that is kept from now on; the same name gives the same fold. */
  fold<K extends Kind, V, P>(fold: Fold<K, V, P>): Fold<K, V, P>;
  folded<K extends Kind, V, P>(fold: Fold<K, V, P>, group: string): V;
  /**
   * Runs the synchronous, pure `work` over the cache and commits what it wrote, under the condition that everything it got, put
   * or deleted is as it was seen. On a lost race it waits for the cache and runs again. Resolves when reads see the commit.
   * Whatever `work` throws goes through, and nothing is committed. What it changes of the kinds in `recorded` is kept with the cause.
   * @param cause unless given: nobody says who did it, as for what is not recorded
   * @throws Refusal "conflict" after 16 lost races, between which it begins to wait; "unavailable" while the store is away (the commit may or may not have been
   * carried out); "exhausted" beyond `storeLimits`
   */
  transact<R>(work: (tx: Tx) => R, cause?: Cause): Promise<Transacted<R>>;
  /**
   * Every change from now on, one batch per revision. It is subscribed when this returns: a list in the same turn is the
   * snapshot that the batches build on. Ended with an error when it lags more than 10,000 batches, or when the history changes.
   */
  changes(signal: AbortSignal): AsyncIterable<ChangeBatch>;
  close(): Promise<void>;
}

export interface Transacted<R> {
  readonly result: R;
  readonly revision: bigint;
}

export interface StatePorts {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const unsaid: Cause = { actor: "", method: "", reason: "" };

/** Resolves when the first listing is in the cache; until then a store that is away is tried again, with a warning in the log. */
export async function openState(ports: StatePorts, signal: AbortSignal): Promise<State> {
  const cache = new Cache(ports.log);
  const feed = new ChangeFeed();
  const follower = new Follower(ports, cache, feed);
  const transactor = new Transactor(ports, cache, follower);
  const closing = new AbortController();
  const either = AbortSignal.any([signal, closing.signal]);
  await follower.start(either);
  const following = follower.follow(either).finally(() => {
    feed.close();
    follower.moved.ring();
  });
  return {
    get history() {
      return follower.history;
    },
    get revision() {
      return cache.revision;
    },
    get away() {
      return follower.away;
    },
    get unreadable() {
      return cache.unreadable;
    },
    get: (kind, id) => cache.get(kind, id),
    list(kind, where) {
      const rows = cache.list(kind);
      return where === undefined ? rows : rows.filter((row) => where(row.value));
    },
    index: (kind, name, keysOf, beside) => cache.index(kind, name, keysOf, beside),
    by: (index, key) => cache.by(index, key),
    grouping: (kind, name, placesOf, beside) => cache.grouping(kind, name, placesOf, beside),
    groups: (grouping, key) => cache.groups(grouping, key),
    fold: (fold) => cache.fold(fold),
    folded: (fold, group) => cache.folded(fold, group),
    transact: (work, cause = unsaid) => transactor.transact(work, cause, either),
    changes: (wanted) => feed.subscribe(wanted),
    async close() {
      closing.abort();
      await following;
    },
  };
}
