// What is kept of a table's rows as they come and go: indexes, groupings and folds. Each may look at the row of the same id in another
// table as well.
import type { Message } from "@bufbuild/protobuf";
import type { Fold, Grouping, Index, Row, Stored } from "./cache.ts";
import type { Kind, Of } from "./kinds.ts";
import { OrderedRows } from "./ordered-rows.ts";

export type Rows = OrderedRows<Stored<Message>>;

export interface Derived {
  /** Of the table that it is made of. */
  readonly rows: Rows;
  /** Of the other table that it looks at. */
  readonly beside: Rows | undefined;
  enter(row: Stored<Message>, beside: Stored<Message> | undefined): void;
  leave(row: Stored<Message>, beside: Stored<Message> | undefined): void;
  clear(): void;
}

export class IndexEntry implements Derived {
  readonly index: Index;
  readonly rows: Rows;
  readonly beside: Rows | undefined;
  /** Only keys that some row has. */
  readonly byKey = new Map<string, Rows>();

  constructor(index: Index, rows: Rows, beside: Rows | undefined) {
    this.index = index;
    this.rows = rows;
    this.beside = beside;
  }

  enter(row: Stored<Message>, beside: Stored<Message> | undefined): void {
    for (const key of this.#keysOf(row, beside)) {
      const under = this.byKey.get(key) ?? new OrderedRows();
      under.set(row);
      this.byKey.set(key, under);
    }
  }

  leave(row: Stored<Message>, beside: Stored<Message> | undefined): void {
    for (const key of this.#keysOf(row, beside)) {
      const under = this.byKey.get(key);
      under?.delete(row.id);
      if (under?.size === 0) this.byKey.delete(key);
    }
  }

  clear(): void {
    this.byKey.clear();
  }

  #keysOf(row: Stored<Message>, beside: Stored<Message> | undefined): readonly string[] {
    const keys = this.index.keysOf(row.value as Of<Kind>, beside?.value as Of<Kind>, row.id) ?? []; // it sees only its own kinds' values
    return typeof keys === "string" ? [keys] : keys;
  }
}

type Groups = Map<string, Map<string, Stored<Message>>>;

export class GroupingEntry implements Derived {
  readonly grouping: Grouping;
  readonly rows: Rows;
  readonly beside: Rows | undefined;
  /** Only keys and groups that some row has. */
  readonly byKey = new Map<string, Groups>();

  constructor(grouping: Grouping, rows: Rows, beside: Rows | undefined) {
    this.grouping = grouping;
    this.rows = rows;
    this.beside = beside;
  }

  enter(row: Stored<Message>, beside: Stored<Message> | undefined): void {
    for (const { key, group } of this.#placesOf(row, beside)) {
      const groups: Groups = this.byKey.get(key) ?? new Map();
      const members = groups.get(group) ?? new Map();
      this.byKey.set(key, groups.set(group, members.set(row.id, row)));
    }
  }

  leave(row: Stored<Message>, beside: Stored<Message> | undefined): void {
    for (const { key, group } of this.#placesOf(row, beside)) {
      const groups = this.byKey.get(key);
      const members = groups?.get(group);
      members?.delete(row.id);
      if (members?.size === 0) groups?.delete(group);
      if (groups?.size === 0) this.byKey.delete(key);
    }
  }

  clear(): void {
    this.byKey.clear();
  }

  #placesOf(row: Stored<Message>, beside: Stored<Message> | undefined) {
    return this.grouping.placesOf(row.value as Of<Kind>, beside?.value as Of<Kind>); // it sees only its own kinds' values
  }
}

export class FoldEntry implements Derived {
  readonly fold: Fold;
  readonly rows: Rows;
  readonly beside = undefined;
  /** Of groups that have parts. */
  readonly sums = new Map<string, { readonly parts: number; readonly value: unknown }>();

  constructor(fold: Fold, rows: Rows) {
    this.fold = fold;
    this.rows = rows;
  }

  enter(row: Row): void {
    this.#count(row, "with");
  }

  leave(row: Row): void {
    this.#count(row, "without");
  }

  clear(): void {
    this.sums.clear();
  }

  #count(row: Row, how: "with" | "without"): void {
    for (const { group, part } of this.fold.partsOf(row)) {
      const { parts, value } = this.sums.get(group) ?? { parts: 0, value: this.fold.none(group) };
      const next = { parts: parts + (how === "with" ? 1 : -1), value: this.fold[how](value, part) };
      if (next.parts === 0) this.sums.delete(group);
      else this.sums.set(group, next);
    }
  }
}
