// What central knows of the store, in memory, by kind, at one revision. Only `apply` and `replace` change it; values are shared
// with everyone and must not be mutated.
// A value that cannot be read never ends the process and never looks like a deletion: the last readable value stays, and the
// key is remembered as unreadable, so that no one overwrites what they have not seen.
import { fromBinary, type Message } from "@bufbuild/protobuf";
import { bug } from "#lib/bug.ts";
import type { Log } from "#lib/log.ts";
import { type Derived, FoldEntry, GroupingEntry, IndexEntry, type Rows } from "./derived.ts";
import { type Kind, keyOf, kinds, type Of } from "./kinds.ts";
import { OrderedRows } from "./ordered-rows.ts";
import { OwnPuts } from "./own-puts.ts";
import type { Batch, Item, Listing, StoreChange } from "./store.ts";

/** One thing as stored: its value and the revisions of its last change and of its first. */
export interface Stored<T> {
  readonly id: string;
  readonly value: T;
  readonly revision: bigint;
  readonly created: bigint;
}

/** One thing that changed; an absent `value` means deleted, an absent `before` means new. */
export interface Change<T = Message> {
  readonly kind: Kind;
  readonly id: string;
  readonly value: T | undefined;
  readonly before: T | undefined;
}

/** The changes of one revision. */
export interface ChangeBatch {
  readonly revision: bigint;
  readonly changes: readonly Change[];
}

/** Narrows a change to its kind, so that `value` and `before` have the kind's type. */
export const isOf = <K extends Kind>(kind: K, change: Change): change is Change<Of<K>> =>
  change.kind.name === kind.name;

/** Ids by a key computed from id and value; made by `Cache.index`, asked through `Cache.by`. */
export interface Index<K extends Kind = Kind> {
  readonly kind: K;
  readonly name: string;
  /** The keys under which the value is found: one, several or none. */
  readonly keysOf: KeysOf<K, Kind>;
  /** The kind of what has the same id and is looked at as well. */
  readonly beside: Kind | undefined;
}

/** @param beside what has the same id and is of the index's other kind, where it has one @param id of both */
export type KeysOf<K extends Kind, B extends Kind> = (
  value: Of<K>,
  beside: Of<B> | undefined,
  id: string,
) => string | readonly string[] | undefined;

/** Rows by a key, and under it by groups, both computed from the value; made by `Cache.grouping`, asked through `Cache.groups`. */
export interface Grouping<K extends Kind = Kind> {
  readonly kind: K;
  readonly name: string;
  readonly placesOf: PlacesOf<K, Kind>;
  readonly beside: Kind | undefined;
}

export interface Place {
  readonly key: string;
  readonly group: string;
}

/** @param beside as for an index */
export type PlacesOf<K extends Kind, B extends Kind> = (value: Of<K>, beside: Of<B> | undefined) => readonly Place[];

/** Rows by id, in no order, by group. To be read in the turn in which it was asked for: it follows what is stored. */
export type Groups<K extends Kind> = ReadonlyMap<string, ReadonlyMap<string, Stored<Of<K>>>>;

/** One value for each group of rows, kept as rows come and go: what an index would only name is summed up. */
export interface Fold<K extends Kind = Kind, V = unknown, P = unknown> {
  readonly kind: K;
  readonly name: string;
  /** What a row counts for, in any number of groups. */
  readonly partsOf: (row: Row<K>) => readonly Part<P>[];
  /** Of a group without parts. */
  readonly none: (group: string) => V;
  /** Pure, and the order of parts does not matter. */
  readonly with: (sum: V, part: P) => V;
  /** Undoes `with`. */
  readonly without: (sum: V, part: P) => V;
}

export interface Part<P> {
  readonly group: string;
  readonly part: P;
}

export type Row<K extends Kind = Kind> = Pick<Stored<Of<K>>, "id" | "value">;

interface Table {
  readonly kind: Kind;
  readonly rows: Rows;
  readonly indexes: Map<string, IndexEntry>;
  readonly groupings: Map<string, GroupingEntry>;
  readonly folds: Map<string, FoldEntry>;
  /** All of these. */
  readonly derived: Derived[];
  /** Those of other tables that look at this one's rows as well. */
  readonly besides: Derived[];
}

export class Cache {
  readonly own = new OwnPuts();
  readonly #log: Log;
  readonly #tables: ReadonlyMap<string, Table>;
  readonly #unreadable = new Map<string, bigint>();
  #revision = 0n;

  constructor(log: Log) {
    this.#log = log;
    this.#tables = new Map(Object.values(kinds).map((kind) => [kind.name, emptyTable(kind)]));
  }

  get revision(): bigint {
    return this.#revision;
  }

  /** Keys whose stored bytes this version cannot read. */
  get unreadable(): readonly string[] {
    return [...this.#unreadable.keys()];
  }

  isUnreadable(kind: Kind, id: string): boolean {
    return this.#unreadable.has(keyOf(kind, id));
  }

  /** Of the key's last change; 0 when it is absent. */
  revisionOf(key: string): bigint {
    const [table, id] = this.#locate(key);
    return this.#unreadable.get(key) ?? table?.rows.get(id)?.revision ?? 0n;
  }

  get<K extends Kind>(kind: K, id: string): Stored<Of<K>> | undefined {
    return this.#table(kind).rows.get(id) as Stored<Of<K>> | undefined; // a table holds only its kind's messages
  }

  list<K extends Kind>(kind: K): readonly Stored<Of<K>>[] {
    return this.#table(kind).rows.inOrder() as readonly Stored<Of<K>>[]; // as above
  }

  /** Registers an index, computed over what is there and kept from then on. Asking twice for a name gives the same one. */
  index<K extends Kind, B extends Kind>(kind: K, name: string, keysOf: KeysOf<K, B>, beside?: B): Index<K> {
    const index = { kind, name, keysOf, beside } as unknown as Index; // only ever given its kinds' values
    const entry = this.#registered(
      (t) => t.indexes,
      index,
      (rows, other) => new IndexEntry(index, rows, other),
    );
    return entry.index as unknown as Index<K>; // registered under the same kind
  }

  /** In id order. */
  by<K extends Kind>(index: Index<K>, key: string): readonly Stored<Of<K>>[] {
    const found = this.#table(index.kind).indexes.get(index.name)?.byKey.get(key);
    return (found?.inOrder() ?? []) as readonly Stored<Of<K>>[]; // as above
  }

  /** Registers a grouping, computed over what is there and kept from then on. Asking twice for a name gives the same one. */
  grouping<K extends Kind, B extends Kind>(kind: K, name: string, placesOf: PlacesOf<K, B>, beside?: B): Grouping<K> {
    const grouping = { kind, name, placesOf, beside } as unknown as Grouping; // only ever given its kinds' values
    const entry = this.#registered(
      (t) => t.groupings,
      grouping,
      (rows, other) => new GroupingEntry(grouping, rows, other),
    );
    return entry.grouping as unknown as Grouping<K>; // registered under the same kind
  }

  groups<K extends Kind>(grouping: Grouping<K>, key: string): Groups<K> {
    const found = this.#table(grouping.kind).groupings.get(grouping.name)?.byKey.get(key);
    return (found ?? new Map()) as Groups<K>; // as above
  }

  /** Registers a fold, computed over what is there and kept from then on. Asking twice for a name gives the same one. */
  fold<K extends Kind, V, P>(fold: Fold<K, V, P>): Fold<K, V, P> {
    const given = fold as unknown as Fold; // only ever given its kind's values
    return this.#registered(
      (t) => t.folds,
      given,
      (rows) => new FoldEntry(given, rows),
    ).fold as unknown as Fold<K, V, P>; // registered under the same kind and name
  }

  folded<K extends Kind, V, P>(fold: Fold<K, V, P>, group: string): V {
    const sums = this.#table(fold.kind).folds.get(fold.name)?.sums ?? bug(`the fold ${fold.name} is not registered`);
    const sum = sums.get(group);
    return sum === undefined ? fold.none(group) : (sum.value as V); // made by the fold itself
  }

  /** @returns what changed for those who use this cache; empty for a batch that was applied before */
  apply(batch: Batch): readonly Change[] {
    if (batch.revision <= this.#revision) return [];
    const changes = batch.changes.flatMap((change) => this.#change(change) ?? []);
    this.#revision = batch.revision;
    return changes;
  }

  /** Takes on the whole content of the store. @returns the differences from before */
  replace({ items, revision }: Listing): readonly Change[] {
    const listed = new Set(items.map((item) => item.key));
    const held = [...this.#tables.values()].flatMap(({ kind, rows }) =>
      Array.from(rows.ids(), (id) => keyOf(kind, id)),
    );
    const gone = [...held, ...this.#unreadable.keys()].filter((key) => !listed.has(key));
    const fresh = items.filter((item) => this.revisionOf(item.key) !== item.revision);
    const changes = [
      ...gone.map((key) => ({ key, item: undefined })),
      ...fresh.map((item) => ({ key: item.key, item })),
    ].flatMap((change) => this.#change(change) ?? []);
    this.#revision = revision;
    return changes;
  }

  /** Forgets everything, for a store whose content has another history. */
  clear(): void {
    for (const table of this.#tables.values()) {
      table.rows.clear();
      for (const derived of table.derived) derived.clear();
    }
    this.#unreadable.clear();
    this.#revision = 0n;
  }

  /** The one of that name; when there is none yet, it is made, and filled with what is there. */
  #registered<D extends Derived>(
    among: (table: Table) => Map<string, D>,
    { kind, name, beside }: { readonly kind: Kind; readonly name: string; readonly beside?: Kind | undefined },
    make: (rows: Rows, other: Rows | undefined) => D,
  ): D {
    const table = this.#table(kind);
    const known = among(table).get(name);
    if (known !== undefined) return known;
    const other = beside && this.#table(beside);
    const made = make(table.rows, other?.rows);
    among(table).set(name, made);
    table.derived.push(made);
    other?.besides.push(made);
    for (const row of made.rows.values()) made.enter(row, made.beside?.get(row.id));
    return made;
  }

  #change({ key, item }: StoreChange): Change | undefined {
    const [table, id] = this.#locate(key);
    if (table === undefined) return undefined;
    const before = table.rows.get(id);
    const row = item && this.#decode(table.kind, id, item);
    if (item !== undefined && row === undefined) return undefined;
    this.#unreadable.delete(key);
    if (row === undefined && before === undefined) return undefined;
    set(table, id, before, row);
    return { kind: table.kind, id, value: row?.value, before: before?.value };
  }

  #decode(kind: Kind, id: string, item: Item): Stored<Message> | undefined {
    try {
      const value = this.own.messageOf(kind, item) ?? fromBinary(kind.schema, item.value);
      return { id, value, revision: item.revision, created: item.created };
    } catch (error) {
      this.#unreadable.set(item.key, item.revision);
      this.#log.error("stored-value-unreadable", {
        key: item.key,
        revision: item.revision,
        bytes: item.value.length,
        error,
      });
      return undefined;
    }
  }

  /** Keys of kinds that this version does not know have no table: they stay in the store and are not looked at. */
  #locate(key: string): readonly [Table | undefined, string] {
    const slash = key.indexOf("/");
    return [this.#tables.get(key.slice(0, slash)), key.slice(slash + 1)];
  }

  #table(kind: Kind): Table {
    return this.#tables.get(kind.name) ?? bug(`the kind ${kind.name} is not in kinds.ts`);
  }
}

const emptyTable = (kind: Kind): Table => ({
  kind,
  rows: new OrderedRows(),
  indexes: new Map(),
  groupings: new Map(),
  folds: new Map(),
  derived: [],
  besides: [],
});

function set(
  { rows, derived, besides }: Table,
  id: string,
  before: Stored<Message> | undefined,
  row: Stored<Message> | undefined,
): void {
  for (const one of derived) {
    const beside = one.beside?.get(id);
    if (before !== undefined) one.leave(before, beside);
    if (row !== undefined) one.enter(row, beside);
  }
  for (const one of besides) {
    const of = one.rows.get(id);
    if (of === undefined) continue;
    one.leave(of, before);
    one.enter(of, row);
  }
  if (row === undefined) rows.delete(id);
  else rows.set(row);
}
