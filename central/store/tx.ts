import { type Message, toBinary } from "@bufbuild/protobuf";
import { Refusal } from "#lib/refusal.ts";
import type { Written } from "../history/record.ts";
import type { Cache, Fold, Index, Row, Stored } from "./cache.ts";
import { type Kind, keyOf, type Of } from "./kinds.ts";
import type { Commit, Put } from "./store.ts";

/**
 * What a transaction's work reads and writes. Reads come from the cache, with this transaction's own writes over it.
 * Everything that is got by id, put or deleted becomes a condition on the revision that the cache holds (0: absent), so a
 * commit goes through only when all of it is still as it was seen. Lists are not conditioned: get what the decision hangs on.
 */
export interface Tx {
  get<K extends Kind>(kind: K, id: string): Of<K> | undefined;
  list<K extends Kind>(kind: K): readonly Stored<Of<K>>[];
  by<K extends Kind>(index: Index<K>, key: string): readonly Stored<Of<K>>[];
  /** What the fold makes of the group's rows; not conditioned either. */
  folded<K extends Kind, V, P>(fold: Fold<K, V, P>, group: string): V;
  /** The value must not be changed after this call. */
  put<K extends Kind>(kind: K, id: string, value: Of<K>, options?: { readonly ttlMs?: number }): void;
  /** Deleting what is absent does nothing. */
  delete(kind: Kind, id: string): void;
}

interface Write {
  readonly kind: Kind;
  readonly id: string;
  readonly value: Message | undefined;
  readonly ttlMs: number | undefined;
}

/** One attempt of a transaction: reads the cache, and keeps what must hold and what is to be written. */
export class TxRecord implements Tx {
  readonly #cache: Cache;
  readonly #seen = new Map<string, bigint>();
  readonly #writes = new Map<string, Write>();

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  get<K extends Kind>(kind: K, id: string): Of<K> | undefined {
    this.#see(kind, id);
    return this.#seenOf(kind, id);
  }

  list<K extends Kind>(kind: K): readonly Stored<Of<K>>[] {
    return this.#overlay(kind, this.#cache.list(kind), [kind], () => true);
  }

  by<K extends Kind>(index: Index<K>, key: string): readonly Stored<Of<K>>[] {
    const { kind, beside } = index;
    return this.#overlay(kind, this.#cache.by(index, key), beside ? [kind, beside] : [kind], (id, value) =>
      [index.keysOf(value, beside && (this.#seenOf(beside, id) as Of<Kind>), id) ?? []].flat().includes(key),
    );
  }

  folded<K extends Kind, V, P>(fold: Fold<K, V, P>, group: string): V {
    let sum = this.#cache.folded(fold, group);
    const count = (row: Row<K>, how: "with" | "without") => {
      for (const part of fold.partsOf(row)) if (part.group === group) sum = fold[how](sum, part.part);
    };
    for (const { kind, id, value } of this.#writes.values()) {
      if (kind.name !== fold.kind.name) continue;
      const before = this.#cache.get(fold.kind, id);
      const after = value as Of<K> | undefined; // put under the same kind
      if (before !== undefined) count(before, "without");
      if (after !== undefined) count({ id, value: after }, "with");
    }
    return sum;
  }

  put<K extends Kind>(kind: K, id: string, value: Of<K>, options: { readonly ttlMs?: number } = {}): void {
    this.#see(kind, id);
    this.#writes.set(keyOf(kind, id), { kind, id, value, ttlMs: options.ttlMs });
  }

  delete(kind: Kind, id: string): void {
    this.#see(kind, id);
    this.#writes.set(keyOf(kind, id), { kind, id, value: undefined, ttlMs: undefined });
  }

  /**
   * @param record what is to be stored of the changes themselves, beside them; it gets the bytes of all that is put
   * @returns undefined when nothing is to be written
   */
  commit(record?: (written: readonly Written[], putBytes: number) => Put | undefined): Commit | undefined {
    const conditions = Array.from(this.#seen, ([key, revision]) => ({ key, revision }));
    const puts: Put[] = [];
    const deletes: string[] = [];
    for (const [key, { kind, value, ttlMs }] of this.#writes) {
      if (value !== undefined) {
        const put = { key, value: toBinary(kind.schema, value), decoded: value };
        puts.push(ttlMs === undefined ? put : { ...put, ttlMs });
      } else if (this.#seen.get(key) !== 0n) deletes.push(key);
    }
    if (puts.length + deletes.length === 0) return undefined;
    const more = record?.(
      this.written(),
      puts.reduce((sum, put) => sum + put.key.length + put.value.length, 0),
    );
    if (more !== undefined) puts.push(more);
    return { conditions, puts, deletes };
  }

  /** What it would change. */
  written(): readonly Written[] {
    return Array.from(this.#writes.values(), ({ kind, id, value }) => {
      return { kind, id, before: this.#cache.get(kind, id)?.value, after: value };
    });
  }

  #see(kind: Kind, id: string): void {
    if (this.#cache.isUnreadable(kind, id)) {
      throw new Refusal("precondition", `${kind.name} ${id} is stored in a form that this version cannot read`, {
        reason: "STORED_VALUE_UNREADABLE",
      });
    }
    this.#seen.set(keyOf(kind, id), this.#cache.get(kind, id)?.revision ?? 0n);
  }

  /** Its value as this transaction leaves it, without a condition. */
  #seenOf<K extends Kind>(kind: K, id: string): Of<K> | undefined {
    const written = this.#writes.get(keyOf(kind, id));
    if (written !== undefined) return written.value as Of<K> | undefined; // put under the same kind
    return this.#cache.get(kind, id)?.value;
  }

  /** @param by kinds of which a change counts */
  #overlay<K extends Kind>(
    kind: K,
    rows: readonly Stored<Of<K>>[],
    by: readonly Kind[],
    fits: (id: string, value: Of<K>) => boolean,
  ): readonly Stored<Of<K>>[] {
    const written = [...this.#writes.values()].filter((write) => by.some(({ name }) => name === write.kind.name));
    if (written.length === 0) return rows;
    const changed = new Set(written.map((write) => write.id));
    const pending = Array.from(changed).flatMap((id) => {
      const value = this.#seenOf(kind, id);
      if (value === undefined || !fits(id, value)) return [];
      const { revision = 0n, created = 0n } = this.#cache.get(kind, id) ?? {};
      return [{ id, value, revision, created }];
    });
    return [...rows.filter((row) => !changed.has(row.id)), ...pending].sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}
