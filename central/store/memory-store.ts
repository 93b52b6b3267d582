// The reference adapter: what the others must do is what this does. Also the store of tests and of the simulator.
// Every change makes one batch, and revisions are consecutive: batch number i of the log has revision #compacted + 1 + i.
import { Bell } from "#lib/bell.ts";
import { bug } from "#lib/bug.ts";
import type { Clock } from "#lib/clock.ts";
import type { Random } from "#lib/random.ts";
import { Expiry } from "./expiry.ts";
import { checkCommit } from "./limits.ts";
import {
  type Batch,
  type Commit,
  type Committed,
  Compacted,
  type Item,
  type Listing,
  type Store,
  StoreUnavailable,
} from "./store.ts";

/** What a store held at one moment. */
export interface Backup extends Listing {
  /** When keys with a time to live end, on the store's clock. */
  readonly untilMs: ReadonlyMap<string, number>;
}

export class MemoryStore implements Store {
  readonly #random: Random;
  #history: string;
  readonly #items = new Map<string, Item>();
  readonly #log: Batch[] = [];
  readonly #bell = new Bell();
  readonly #clock: Clock;
  readonly #keep: number;
  readonly #expiry: Expiry;
  /** When keys with a time to live end. */
  readonly #untilMs = new Map<string, number>();
  readonly #closing = new AbortController();
  #replaced = new AbortController();
  #revision = 0n;
  #compacted = 0n;

  /** @param keep revisions that watches can resume over; older ones are compacted in steps of a tenth of it */
  constructor({ clock, random, keep }: { readonly clock: Clock; readonly random: Random; readonly keep?: number }) {
    this.#random = random;
    this.#history = random.uuid();
    this.#clock = clock;
    this.#keep = keep ?? 100_000;
    this.#expiry = new Expiry(
      clock,
      () => clock.monotonicMs(),
      (keys) => this.#write([], keys),
    );
  }

  async history(): Promise<string> {
    this.#checkOpen();
    return this.#history;
  }

  async read(key: string): Promise<Item | undefined> {
    this.#checkOpen();
    return this.#items.get(key);
  }

  async list(prefix: string): Promise<Listing> {
    this.#checkOpen();
    const items = [...this.#items.values()].filter((item) => item.key.startsWith(prefix));
    return { items: items.sort((a, b) => (a.key < b.key ? -1 : 1)), revision: this.#revision };
  }

  async *watch(wanted: { readonly prefix: string; readonly after: bigint }, signal: AbortSignal): AsyncIterable<Batch> {
    this.#checkOpen();
    const replaced = this.#replaced.signal;
    const either = AbortSignal.any([signal, this.#closing.signal, replaced]);
    let at = wanted.after;
    while (!either.aborted) {
      if (at < this.#compacted) throw new Compacted(this.#compacted);
      const batch = this.#log[Number(at - this.#compacted)];
      if (batch === undefined) {
        await this.#bell.wait(either);
        continue;
      }
      at = batch.revision;
      const changes = batch.changes.filter((change) => change.key.startsWith(wanted.prefix));
      if (changes.length > 0) yield { revision: at, changes };
    }
    if (replaced.aborted) throw new StoreUnavailable("the store in memory was set back");
  }

  async commit(commit: Commit): Promise<Committed> {
    this.#checkOpen();
    checkCommit(commit);
    if (commit.conditions.some((c) => (this.#items.get(c.key)?.revision ?? 0n) !== c.revision)) return { ok: false };
    this.#write(commit.puts, commit.deletes);
    return { ok: true, revision: this.#revision };
  }

  async compact(revision: bigint): Promise<void> {
    this.#checkOpen();
    if (revision > this.#revision) bug(`compaction at ${revision}, which is beyond the store's ${this.#revision}`);
    if (revision > this.#compacted) this.#forget(revision);
    this.#bell.ring();
  }

  /** All that it holds, for `restore`. */
  backup(): Backup {
    return { items: [...this.#items.values()], revision: this.#revision, untilMs: new Map(this.#untilMs) };
  }

  /** Becomes what it was at a backup, with another history and without a past. Watches end. */
  restore({ items, revision, untilMs }: Backup): void {
    this.#checkOpen();
    this.#history = this.#random.uuid();
    for (const key of this.#items.keys()) this.#live(key, undefined);
    this.#items.clear();
    for (const item of items) {
      this.#items.set(item.key, item);
      this.#live(item.key, untilMs.get(item.key));
    }
    this.#log.length = 0;
    this.#revision = this.#compacted = revision;
    this.#replaced.abort();
    this.#replaced = new AbortController();
  }

  async close(): Promise<void> {
    this.#expiry.close();
    this.#closing.abort();
  }

  #write(puts: Commit["puts"], deletes: readonly string[]): void {
    const gone = deletes.filter((key) => this.#items.has(key));
    if (puts.length === 0 && gone.length === 0) return;
    const revision = this.#revision + 1n;
    const items = puts.map(({ key, value }): Item => {
      return { key, value: value.slice(), revision, created: this.#items.get(key)?.created ?? revision };
    });
    for (const item of items) this.#items.set(item.key, item);
    for (const { key, ttlMs } of puts) {
      this.#live(key, ttlMs === undefined ? undefined : this.#clock.monotonicMs() + ttlMs);
    }
    for (const key of gone) {
      this.#items.delete(key);
      this.#live(key, undefined);
    }
    const changes = [
      ...items.map((item) => ({ key: item.key, item })),
      ...gone.map((key) => ({ key, item: undefined })),
    ];
    this.#revision = revision;
    this.#log.push({ revision, changes });
    if (this.#log.length > this.#keep * 1.1) this.#forget(revision - BigInt(this.#keep));
    this.#bell.ring();
  }

  /** @param untilMs of the clock; undefined: for ever */
  #live(key: string, untilMs: number | undefined): void {
    if (untilMs === undefined) this.#untilMs.delete(key);
    else this.#untilMs.set(key, untilMs);
    this.#expiry.set(key, untilMs);
  }

  #forget(revision: bigint): void {
    this.#log.splice(0, Number(revision - this.#compacted));
    this.#compacted = revision;
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw new StoreUnavailable("the store in memory is closed");
  }
}
