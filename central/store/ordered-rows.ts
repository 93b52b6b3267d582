// Rows by id, and in id order for whoever asks. What was put in order once is kept: a few changes since then are worked into a copy of
// it, which costs far less than to sort everything anew for each.
import { firstIndex } from "#lib/first-index.ts";

/** Changes beyond which sorting anew is the better way. */
const changesMax = 32;

export class OrderedRows<R extends { readonly id: string }> {
  readonly #rows = new Map<string, R>();
  #last: Ordered<R> | undefined;

  get size(): number {
    return this.#rows.size;
  }

  get(id: string): R | undefined {
    return this.#rows.get(id);
  }

  ids(): IterableIterator<string> {
    return this.#rows.keys();
  }

  values(): IterableIterator<R> {
    return this.#rows.values();
  }

  set(row: R): void {
    this.#rows.set(row.id, row);
    this.#note(row.id);
  }

  delete(id: string): void {
    if (this.#rows.delete(id)) this.#note(id);
  }

  clear(): void {
    this.#rows.clear();
    this.#last = undefined;
  }

  inOrder(): readonly R[] {
    if (this.#last?.changed.size === 0) return this.#last.rows;
    const rows = this.#last ? this.#workedIn(this.#last) : [...this.#rows.values()].sort(byId);
    this.#last = { rows, changed: new Set() };
    return rows;
  }

  #note(id: string): void {
    this.#last?.changed.add(id);
    if (this.#last && this.#last.changed.size > changesMax) this.#last = undefined;
  }

  #workedIn(last: Ordered<R>): readonly R[] {
    const rows = [...last.rows];
    for (const id of last.changed) {
      const at = firstIndex(rows, (row) => row.id >= id);
      const isThere = rows[at]?.id === id;
      const row = this.#rows.get(id);
      if (row !== undefined) rows.splice(at, isThere ? 1 : 0, row);
      else if (isThere) rows.splice(at, 1);
    }
    return rows;
  }
}

/** As of the last time that somebody asked. Most indexed rows are alone under their key, and never asked for in order. */
interface Ordered<R> {
  /** Handed out, so it never changes. */
  readonly rows: readonly R[];
  /** Ids of what came and went since. */
  readonly changed: Set<string>;
}

const byId = (a: { readonly id: string }, b: { readonly id: string }) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
