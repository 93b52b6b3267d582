// The embedded store: one process, one folder, one LMDB environment. A commit writes the items and the batch that watches read, so both
// are there or neither is; it resolves when they are flushed to disk.
//
// Tables: items (key → item), log (revision → batch), deadlines (key → wall milliseconds), meta.
// Every revision has a batch and revisions are consecutive, so the log's first key says what is compacted.
import type { Database, Key } from "lmdb";
import { Bell } from "#lib/bell.ts";
import { bug } from "#lib/bug.ts";
import type { Clock } from "#lib/clock.ts";
import { fileIdentity } from "#lib/io/file-identity.ts";
import { LmdbEnvironment } from "#lib/io/lmdb-environment.ts";
import { roomOf } from "#lib/io/lmdb-room.ts";
import { ownMark, runningPid } from "#lib/io/process-mark.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { reasonOf } from "#lib/reason-of.ts";
import type { Result } from "#lib/result.ts";
import { Expiry } from "../store/expiry.ts";
import { checkCommit } from "../store/limits.ts";
import { decodeBatch, decodeItem, encodeBatch, encodeItem } from "../store/record-codec.ts";
import {
  type Batch,
  type Commit,
  type Committed,
  Compacted,
  type Item,
  type Listing,
  type Store,
  StoreUnavailable,
} from "../store/store.ts";
import { HighWater, type Mark } from "./high-water.ts";

const format = "1";
/** Old batches removed per commit, at most: more than one, so that a log that is too long shrinks. */
const forgetPerCommit = 4;
/** Of a compaction, so that it needs little room. */
const forgetAtOnce = 256;
/** A deletion that failed is tried again after this. */
const expiryRetryMs = 1_000;

const tables = ["items", "log", "deadlines", "meta"] as const;
type MetaKey = "file" | "format" | "history" | "owner" | "revision";

interface LmdbStoreOptions {
  /** Made with mode 0700 if it is not there. */
  readonly folder: string;
  /** Revisions that watches can resume over, also after a restart. */
  readonly keep?: number;
}

export class LmdbStore implements Store {
  readonly #folder: string;
  readonly #keep: number;
  readonly #clock: Clock;
  readonly #eventLog: Log;
  readonly #environment: LmdbEnvironment;
  readonly #bell = new Bell();
  readonly #expiry: Expiry;
  readonly #closing = new AbortController();
  readonly #highWater: HighWater;

  /** @throws StoreUnavailable when another process has the folder open, or it is of another version's format */
  constructor(
    ports: { readonly clock: Clock; readonly random: Random; readonly log: Log },
    { folder, keep = 100_000 }: LmdbStoreOptions,
  ) {
    this.#folder = folder;
    this.#keep = keep;
    this.#clock = ports.clock;
    this.#eventLog = ports.log;
    this.#environment = new LmdbEnvironment({ folder, encodings: { deadlines: "ordered-binary", meta: "string" } });
    this.#highWater = new HighWater(folder, ports);
    const refusal = this.#environment.writeNow({ bytes: roomOf([100]), tables }, () => this.#takeOver(ports.random));
    if (refusal !== undefined) {
      void this.#environment.close();
      throw new StoreUnavailable(refusal);
    }
    this.#highWater.write(() => this.#mark());
    this.#expiry = new Expiry(
      ports.clock,
      () => ports.clock.wallMs(),
      (keys) => void this.#expire(keys),
    );
    for (const { key, value } of this.#deadlines.getRange()) this.#expiry.set(key, value);
  }

  async history(): Promise<string> {
    this.#checkOpen();
    return this.#meta.get("history") ?? bug("an open store has no history");
  }

  async read(key: string): Promise<Item | undefined> {
    this.#checkOpen();
    this.#environment.refresh();
    const bytes = this.#items.get(key);
    return bytes && wellFormed(decodeItem(key, plain(bytes)));
  }

  async list(prefix: string): Promise<Listing> {
    this.#checkOpen();
    this.#environment.refresh();
    const items: Item[] = [];
    for (const { key, value } of this.#items.getRange({ start: prefix })) {
      if (!key.startsWith(prefix)) break;
      items.push(wellFormed(decodeItem(key, plain(value))));
    }
    return { items, revision: this.#revision() };
  }

  async *watch(wanted: { readonly prefix: string; readonly after: bigint }, signal: AbortSignal): AsyncIterable<Batch> {
    this.#checkOpen();
    const either = AbortSignal.any([signal, this.#closing.signal]);
    let at = wanted.after;
    while (!either.aborted) {
      this.#environment.refresh();
      const compacted = this.#compacted();
      if (at < compacted) throw new Compacted(compacted);
      const bytes = this.#log.get(Number(at + 1n));
      if (bytes === undefined) {
        await this.#bell.wait(either);
        continue;
      }
      at += 1n;
      const batch = wellFormed(decodeBatch(at, plain(bytes)));
      const changes = batch.changes.filter((change) => change.key.startsWith(wanted.prefix));
      if (changes.length > 0) yield { revision: at, changes };
    }
  }

  async commit(commit: Commit): Promise<Committed> {
    this.#checkOpen();
    checkCommit(commit);
    const committed = await this.#write(roomFor(commit), (): Committed => {
      if (commit.conditions.some((c) => (this.#itemNow(c.key)?.revision ?? 0n) !== c.revision)) return { ok: false };
      return { ok: true, revision: this.#apply(commit.puts, commit.deletes) };
    });
    if (committed.ok) {
      for (const { key } of commit.puts) this.#expiry.set(key, this.#deadlines.get(key));
      for (const key of commit.deletes) this.#expiry.set(key, undefined);
      this.#highWater.writeSoon(() => this.#mark());
      this.#bell.ring();
    }
    return committed;
  }

  async compact(revision: bigint): Promise<void> {
    this.#checkOpen();
    const step = () => {
      const now = this.#revision();
      if (revision > now) bug(`compaction at ${revision}, which is beyond the store's ${now}`);
      return this.#forget(revision, forgetAtOnce);
    };
    while ((await this.#write(roomOf(Array(forgetAtOnce).fill(0)), step)) === forgetAtOnce);
    this.#bell.ring();
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#expiry.close();
    this.#highWater.close();
    // If it cannot be removed: the mark of a process that is gone is taken over.
    await this.#write(roomOf([0]), () => void this.#meta.remove("owner")).catch(() => {});
    this.#highWater.write(() => this.#mark());
    await this.#environment.close();
  }

  /** In a transaction, which LMDB gives to one process at a time, so two that start together cannot both win. */
  #takeOver(random: Random): string | undefined {
    const known = this.#meta.get("format") ?? format;
    if (known !== format)
      return `the embedded store in ${this.#folder} has format ${known}; this version reads ${format}`;
    const owner = runningPid(this.#meta.get("owner") ?? "");
    if (owner !== undefined) return `the embedded store in ${this.#folder} is in use by process ${owner}`;
    void this.#meta.put("format", format);
    void this.#meta.put("owner", ownMark());
    // A copy that was put back, or carried to another host, may be older than what agents know: its history is another one.
    const file = fileIdentity(this.#environment.file);
    const isOther = (this.#meta.get("file") ?? file) !== file || this.#highWater.isAbove(this.#mark());
    if (isOther || this.#meta.get("history") === undefined) void this.#meta.put("history", random.uuid());
    void this.#meta.put("file", file);
    return undefined;
  }

  /** Runs in a transaction. @returns the store's revision after it */
  #apply(puts: Commit["puts"], deletes: readonly string[]): bigint {
    const before = this.#revision();
    const gone = deletes.filter((key) => this.#items.doesExist(key));
    if (puts.length === 0 && gone.length === 0) return before;
    const revision = before + 1n;
    const items = puts.map(({ key, value }): Item => {
      return { key, value, revision, created: this.#itemNow(key)?.created ?? revision };
    });
    for (const item of items) void this.#items.put(item.key, Buffer.from(encodeItem(item)));
    for (const { key, ttlMs } of puts) {
      if (ttlMs !== undefined) void this.#deadlines.put(key, this.#clock.wallMs() + ttlMs);
      else void this.#deadlines.remove(key);
    }
    for (const key of gone) {
      void this.#items.remove(key);
      void this.#deadlines.remove(key);
    }
    const changes = [
      ...items.map((item) => ({ key: item.key, item })),
      ...gone.map((key) => ({ key, item: undefined })),
    ];
    void this.#log.put(Number(revision), Buffer.from(encodeBatch({ revision, changes })));
    void this.#meta.put("revision", String(revision));
    this.#forget(revision - BigInt(this.#keep), forgetPerCommit);
    return revision;
  }

  async #expire(keys: readonly string[]): Promise<void> {
    try {
      await this.#write(roomFor({ puts: [], deletes: keys }), () => {
        const now = this.#clock.wallMs();
        const due = keys.filter((key) => (this.#deadlines.get(key) ?? Number.POSITIVE_INFINITY) <= now);
        this.#apply([], due);
      });
      this.#bell.ring();
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#eventLog.warn("store-expiry-failed", { keys, error });
      for (const key of keys) this.#expiry.set(key, this.#clock.wallMs() + expiryRetryMs);
    }
  }

  /** Runs in a transaction: removes batches up to the revision, oldest first. @returns how many */
  #forget(revision: bigint, most: number): number {
    const keys = [...this.#log.getKeys({ end: Number(revision) + 1, limit: most })];
    for (const key of keys) void this.#log.remove(key);
    return keys.length;
  }

  #compacted(): bigint {
    for (const first of this.#log.getKeys({ limit: 1 })) return BigInt(first) - 1n;
    return this.#revision();
  }

  #revision(): bigint {
    return BigInt(this.#meta.get("revision") ?? 0);
  }

  #mark(): Mark {
    return { history: this.#meta.get("history") ?? "", revision: this.#revision() };
  }

  #itemNow(key: string): Item | undefined {
    const bytes = this.#items.get(key);
    return bytes && wellFormed(decodeItem(key, plain(bytes)));
  }

  async #write<T>(bytes: number, work: () => T): Promise<T> {
    try {
      return await this.#environment.write({ bytes, tables }, work);
    } catch (error) {
      if (error instanceof Error && error.message.startsWith("bug: ")) throw error;
      throw new StoreUnavailable(`the embedded store failed: ${reasonOf(error)}`, { cause: error });
    }
  }

  get #items(): Database<Buffer, string> {
    return this.#table("items");
  }

  get #log(): Database<Buffer, number> {
    return this.#table("log");
  }

  get #deadlines(): Database<number, string> {
    return this.#table("deadlines");
  }

  get #meta(): Database<string, MetaKey> {
    return this.#table("meta");
  }

  #table<V, K extends Key>(name: (typeof tables)[number]): Database<V, K> {
    return this.#environment.table<V, K>(name) ?? bug(`an open store has no table ${name}`);
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw new StoreUnavailable(`the embedded store in ${this.#folder} is closed`);
  }
}

/** The items, their deadlines, the batch with all of them, the revision, and the batches that are forgotten. */
function roomFor({ puts, deletes }: Pick<Commit, "puts" | "deletes">): number {
  const lengths = [...puts.map(({ key, value }) => key.length + value.length), ...deletes.map((key) => key.length)];
  const batch = lengths.reduce((sum, length) => sum + length, 0);
  return roomOf([...lengths, ...lengths.map(() => 0), batch, ...Array<number>(1 + forgetPerCommit).fill(0)]);
}

/** Without Buffer's own methods, so that all adapters give the same. */
const plain = (bytes: Buffer) => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function wellFormed<T>(decoded: Result<T>): T {
  if (!decoded.ok) throw new StoreUnavailable(`the embedded store is damaged: ${decoded.error}`);
  return decoded.value;
}
