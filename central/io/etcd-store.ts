// The store on an etcd cluster. Its keys: ROOT/data/KEY for what is stored, ROOT/history for the history's id.
// etcd's revisions are used as they are, so other users of the same cluster leave gaps in them.
import type { IRangeResponse } from "etcd3";
import { bug } from "#lib/bug.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { checkCommit } from "../store/limits.ts";
import {
  type Batch,
  type Commit,
  type Committed,
  Compacted,
  type Item,
  type Listing,
  type Put,
  type Store,
  StoreUnavailable,
} from "../store/store.ts";
import { EtcdClient, type EtcdConnection } from "./etcd-client.ts";
import { EtcdGrouping } from "./etcd-grouping.ts";
import { EtcdHistory } from "./etcd-history.ts";
import { prefixEnd } from "./etcd-keys.ts";
import { etcdWatch } from "./etcd-watch.ts";

export interface EtcdStoreOptions extends EtcdConnection {
  /** Before all of our keys; `/holdfast` unless said otherwise. */
  readonly root?: string;
  /** Revisions of the cluster that watches can resume over; 0 leaves compaction to others. */
  readonly keep?: number;
}

/** Items per page of a listing. */
const pageItems = 500;

export class EtcdStore implements Store {
  readonly #client: EtcdClient;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #root: string;
  readonly #keep: number;
  readonly #history: EtcdHistory;
  readonly #grouping: EtcdGrouping;
  readonly #closing = new AbortController();
  #compacted = 0n;

  constructor(ports: { readonly clock: Clock; readonly random: Random; readonly log: Log }, options: EtcdStoreOptions) {
    const { root = "/holdfast", keep = 100_000 } = options;
    this.#client = new EtcdClient(options);
    this.#clock = ports.clock;
    this.#log = ports.log;
    this.#root = root;
    this.#keep = keep;
    this.#history = new EtcdHistory(this.#client, `${root}/history`, ports.random);
    this.#grouping = new EtcdGrouping((txn) => this.#client.call((etcd) => etcd.kv.txn(txn)));
  }

  async history(): Promise<string> {
    this.#checkOpen();
    return this.#history.current();
  }

  async read(key: string): Promise<Item | undefined> {
    this.#checkOpen();
    const { kvs, header } = await this.#client.ask((etcd) => etcd.kv.range({ key: this.#key(key) }));
    this.#history.saw(BigInt(header.revision));
    return this.#items(kvs)[0];
  }

  async list(prefix: string): Promise<Listing> {
    this.#checkOpen();
    const items: Item[] = [];
    let revision = 0n;
    for (let from = this.#key(prefix), more = true; more; ) {
      const page = await this.#page(from, prefix, revision);
      if (revision === 0n) revision = BigInt(page.header.revision);
      items.push(...this.#items(page.kvs));
      more = page.more;
      from = Buffer.concat([page.kvs.at(-1)?.key ?? from, Buffer.of(0)]);
    }
    this.#history.saw(revision);
    return { items, revision };
  }

  async *watch(wanted: { readonly prefix: string; readonly after: bigint }, signal: AbortSignal): AsyncIterable<Batch> {
    this.#checkOpen();
    const either = AbortSignal.any([signal, this.#closing.signal]);
    const data = this.#key("").toString();
    const watch = { root: `${this.#root}/`, after: wanted.after, currentRevision: () => this.#currentRevision() };
    for await (const { revision, changes } of etcdWatch(this.#client, this.#clock, watch, either)) {
      const ours = changes.flatMap(({ key, item }) => {
        if (!key.startsWith(data + wanted.prefix)) return [];
        const short = key.slice(data.length);
        return { key: short, item: item && { ...item, key: short } };
      });
      if (ours.length > 0) yield { revision, changes: ours };
    }
  }

  async commit(commit: Commit): Promise<Committed> {
    this.#checkOpen();
    checkCommit(commit);
    const leases = await this.#grant(commit.puts);
    const { succeeded, header } = await this.#grouping.commit({
      commit,
      compare: commit.conditions.map(({ key, revision }) => {
        return { key: this.#key(key), target: "Mod", result: "Equal", mod_revision: Number(revision) };
      }),
      success: [
        ...commit.puts.map((put) => {
          const lease = put.ttlMs === undefined ? undefined : leases.get(put.ttlMs);
          const request = { key: this.#key(put.key), value: Buffer.from(put.value) };
          return { request_put: lease === undefined ? request : { ...request, lease } };
        }),
        ...commit.deletes.map((key) => ({ request_delete_range: { key: this.#key(key) } })),
      ],
    });
    const revision = BigInt(header.revision);
    this.#history.saw(revision);
    if (succeeded) return { ok: true, revision };
    for (const id of leases.values())
      await this.#client.call((etcd) => etcd.leaseClient.leaseRevoke({ ID: id })).catch(() => undefined);
    return { ok: false };
  }

  async compact(revision: bigint): Promise<void> {
    this.#checkOpen();
    try {
      await this.#client.call((etcd) => etcd.kv.compact({ revision: String(revision) }));
    } catch (error) {
      if (/future revision/.test(String(error))) bug(`compaction at ${revision}, which is beyond the store's revision`);
      if (!(error instanceof Compacted)) throw error;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#client.close();
  }

  /** One lease for all puts of a commit with the same time to live. etcd counts in seconds and has a least of about two. */
  async #grant(puts: readonly Put[]): Promise<ReadonlyMap<number, string>> {
    const leases = new Map<number, string>();
    for (const ttlMs of new Set(puts.flatMap((put) => put.ttlMs ?? []))) {
      const { ID } = await this.#client.call((etcd) =>
        etcd.leaseClient.leaseGrant({ TTL: Math.max(1, Math.ceil(ttlMs / 1000)) }),
      );
      leases.set(ttlMs, ID);
    }
    return leases;
  }

  async #page(from: Buffer, prefix: string, revision: bigint): Promise<IRangeResponse> {
    const request = { key: from, range_end: prefixEnd(this.#key(prefix).toString()), limit: pageItems };
    try {
      return await this.#client.ask((etcd) => etcd.kv.range({ ...request, revision: String(revision) }));
    } catch (error) {
      if (!(error instanceof Compacted)) throw error;
      throw new StoreUnavailable(`${this.#client.name}: revision ${revision} was compacted in the middle of a listing`);
    }
  }

  /** Also compacts when it is time: this is asked at intervals while somebody watches. */
  async #currentRevision(): Promise<bigint> {
    const { header } = await this.#client.ask((etcd) =>
      etcd.kv.range({ key: Buffer.from(`${this.#root}/history`), keys_only: true }),
    );
    const revision = BigInt(header.revision);
    this.#history.saw(revision);
    await this.#compactOld(revision - BigInt(this.#keep));
    return revision;
  }

  /** In steps of a tenth of what is kept. Another user of the store may be first; a failure is tried again at the next step. */
  async #compactOld(revision: bigint): Promise<void> {
    if (this.#keep === 0 || revision - this.#compacted <= BigInt(this.#keep) / 10n) return;
    this.#compacted = revision;
    await this.compact(revision).catch((error: unknown) => {
      this.#log.warn("store-compaction-failed", { store: this.#client.name, revision, error });
    });
  }

  #items(kvs: IRangeResponse["kvs"]): Item[] {
    const before = this.#key("").length;
    return kvs.map(({ key, value, mod_revision, create_revision }) => ({
      key: key.toString("utf8", before),
      value: new Uint8Array(value),
      revision: BigInt(mod_revision),
      created: BigInt(create_revision),
    }));
  }

  #key(key: string): Buffer {
    return Buffer.from(`${this.#root}/data/${key}`);
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw new StoreUnavailable(`${this.#client.name} is closed here`);
  }
}
