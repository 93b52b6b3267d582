// Optimistic transactions: run over the cache, commit under conditions, run again when somebody else was first.
// First attempts run side by side; a repeat takes its turn among those that lost over the same key, so that those of one process that
// want it do not beat each other forever.
import { noLonger } from "#lib/no-longer.ts";
import { Refusal } from "#lib/refusal.ts";
import { sometimes } from "#lib/sometimes.ts";
import type { Cause } from "../history/cause.ts";
import { changePut } from "../history/record.ts";
import type { Cache } from "./cache.ts";
import type { Follower } from "./follower.ts";
import { storeLimits } from "./limits.ts";
import type { StatePorts, Transacted } from "./state.ts";
import { type Commit, type Committed, type Condition, StoreUnavailable } from "./store.ts";
import { type Tx, TxRecord } from "./tx.ts";

const attemptsMax = 16;
/** Lost races in a row after which others are let ahead, and for how long at most at first; twice as long after each further one. */
const asideFrom = 3;
const asideMs = { first: 4, most: 1_000 } as const;
/** Bytes of a record of changes without the former values: at most so many. */
const recordRoom = 131_072;
/** After a lost race: how long to wait for the cache to show the winner. A key that came and went again never shows. */
const lostRaceMs = 250;

type Tried<R> =
  | { readonly done: Transacted<R> }
  /** Keys that somebody else has changed. */
  | { readonly done: undefined; readonly lost: readonly string[] };

export class Transactor {
  readonly #ports: StatePorts;
  readonly #cache: Cache;
  readonly #follower: Follower;
  readonly #landing = new Set<Promise<Committed>>();
  /** Whom the next one waits for that has lost over a key. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(ports: StatePorts, cache: Cache, follower: Follower) {
    this.#ports = ports;
    this.#cache = cache;
    this.#follower = follower;
  }

  async transact<R>(work: (tx: Tx) => R, cause: Cause, signal: AbortSignal): Promise<Transacted<R>> {
    if (cause.plan?.kind === "rehearsal") {
      return { result: work(cause.plan.record(() => new TxRecord(this.#cache))), revision: this.#cache.revision };
    }
    const tried = await this.#attempt(work, cause, signal);
    return tried.done ?? this.#inTurn(tried.lost, () => this.#repeat(work, cause, signal));
  }

  async #inTurn<R>(keys: readonly string[], work: () => Promise<R>): Promise<R> {
    const done = Promise.all(keys.map((key) => this.#turns.get(key))).then(work);
    const over = done.then(
      () => undefined,
      () => undefined,
    );
    for (const key of keys) this.#turns.set(key, over);
    try {
      return await done;
    } finally {
      for (const key of keys) if (this.#turns.get(key) === over) this.#turns.delete(key);
    }
  }

  async #repeat<R>(work: (tx: Tx) => R, cause: Cause, signal: AbortSignal): Promise<Transacted<R>> {
    for (let attempt = 2; attempt <= attemptsMax; attempt++) {
      const tried = await this.#attempt(work, cause, signal);
      if (tried.done !== undefined) return tried.done;
      // What others of this process are at would be lost to next: where little is left, that would go on until nothing is.
      await Promise.allSettled(this.#landing);
      await this.#stepAside(attempt, signal);
    }
    throw new Refusal("conflict", `others changed the same things ${attemptsMax} times in a row: try again`, {
      reason: "CONFLICT",
    });
  }

  /**
   * Who has won sees that first, and begins the next round first: of several centrals that all want the same key again and again, one
   * would lose every round. So who has lost a few lets the others get done.
   */
  async #stepAside(lost: number, signal: AbortSignal): Promise<void> {
    if (lost < asideFrom || lost === attemptsMax) return;
    const { clock, random } = this.#ports;
    await clock
      .sleep(random.below(Math.min(asideMs.first * 2 ** (lost - asideFrom), asideMs.most)), signal)
      .catch(() => undefined);
  }

  /** Has waited, after a lost race, until reads see why. */
  async #attempt<R>(work: (tx: Tx) => R, cause: Cause, signal: AbortSignal): Promise<Tried<R>> {
    const tx = new TxRecord(this.#cache);
    const result = work(tx);
    if (cause.plan?.kind === "planned") await cause.plan.check(tx.written());
    const commit = tx.commit((written, putBytes) =>
      changePut(written, cause, { ...this.#ports, room: storeLimits.commitBytes - putBytes - recordRoom }),
    );
    if (commit === undefined) return { done: { result, revision: this.#cache.revision } };
    const landed = await this.#land(commit, signal);
    if (landed.ok) return { done: { result, revision: landed.revision } };
    sometimes(this.#ports.log, "a transaction lost a race");
    const moved = () => commit.conditions.filter((c) => this.#hasMoved(c));
    await this.#until(() => moved().length > 0, lostRaceMs, signal);
    return { done: undefined, lost: moved().map(({ key }) => key) };
  }

  /** Commits, and sees to it that the cache shows it. */
  #land(commit: Commit, signal: AbortSignal): Promise<Committed> {
    const landing = this.#commit(commit).then(async (committed) => {
      if (committed.ok && !(await this.#isShown(committed.revision, signal))) {
        const text = `the change is stored at revision ${committed.revision}, but this server still reads at ${this.#cache.revision}`;
        throw unavailable(text);
      }
      return committed;
    });
    this.#landing.add(landing);
    this.#cache.own.expect(commit.puts);
    return landing.finally(() => {
      this.#landing.delete(landing);
      this.#cache.own.expectNoLonger(commit.puts);
    });
  }

  async #commit(commit: Commit) {
    try {
      return await this.#ports.store.commit(commit);
    } catch (error) {
      if (error instanceof StoreUnavailable) throw unavailable(`the change may not be stored: ${error.message}`);
      throw error;
    }
  }

  async #isShown(revision: bigint, signal: AbortSignal): Promise<boolean> {
    return this.#cache.revision >= revision || (await this.#follower.awaited.reached(revision, signal));
  }

  #hasMoved({ key, revision }: Condition): boolean {
    return this.#cache.revisionOf(key) !== revision;
  }

  /** @returns whether it came true in time */
  async #until(isTrue: () => boolean, ms: number, signal: AbortSignal): Promise<boolean> {
    if (isTrue() || signal.aborted) return isTrue();
    const over = new AbortController();
    const end = () => over.abort(noLonger);
    this.#ports.clock.sleep(ms, over.signal).then(end, () => undefined);
    // No listener on the signal, which lives as long as the process: the state rings once more when it has ended.
    await this.#follower.moved.wait(over.signal, () => isTrue() || signal.aborted);
    end();
    return isTrue();
  }
}

const unavailable = (text: string) => new Refusal("unavailable", text, { reason: "STORE_UNAVAILABLE" });
