// Rows by id, and in id order for whoever asks. What was put in order once is kept: a few changes since then are worked into a copy of
// it, which costs far less than to sort everything anew for each.
import { firstIndex } from "#lib/first-index.ts";

/** Changes beyond which sorting anew is the better way. */
const changesMax = 32;

export class OrderedRows<R extends { readonly id: string }> {
  readonly #rows = new Map<string, R>();
  /** As of the last time that somebody asked; without what is in `#changed`. Handed out, so it never changes. */
  #ordered: readonly R[] | undefined;
  readonly #changed = new Set<string>();

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
    this.#forgetOrder();
  }

  inOrder(): readonly R[] {
    if (this.#ordered === undefined) this.#ordered = [...this.#rows.values()].sort(byId);
    else if (this.#changed.size > 0) this.#ordered = this.#workedIn(this.#ordered);
    this.#changed.clear();
    return this.#ordered;
  }

  #note(id: string): void {
    if (this.#ordered === undefined) return;
    this.#changed.add(id);
    if (this.#changed.size > changesMax) this.#forgetOrder();
  }

  #forgetOrder(): void {
    this.#ordered = undefined;
    this.#changed.clear();
  }

  #workedIn(before: readonly R[]): readonly R[] {
    const rows = [...before];
    for (const id of this.#changed) {
      const at = firstIndex(rows, (row) => row.id >= id);
      const isThere = rows[at]?.id === id;
      const row = this.#rows.get(id);
      if (row !== undefined) rows.splice(at, isThere ? 1 : 0, row);
      else if (isThere) rows.splice(at, 1);
    }
    return rows;
  }
}

const byId = (a: { readonly id: string }, b: { readonly id: string }) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
