import type { Change, Disk } from "./disk.ts";

/** A `Disk` in memory, for tests and the simulator. Values are copied in and out of reach. */
export class MemoryDisk implements Disk {
  readonly identity: string = "memory";
  readonly #tables = new Map<string, Table>();

  get(table: string, key: string): Uint8Array | undefined {
    return this.#tables.get(table)?.rows.get(key)?.slice();
  }

  *entries(table: string, prefix = ""): Iterable<readonly [string, Uint8Array]> {
    const found = this.#tables.get(table);
    if (!found) return;
    const keys = sortedKeys(found);
    for (let i = firstFrom(keys, prefix); i < keys.length && keys[i]!.startsWith(prefix); i++) {
      const value = found.rows.get(keys[i]!);
      if (value) yield [keys[i]!, value.slice()];
    }
  }

  async write(changes: readonly Change[]): Promise<void> {
    for (const { table, key, value } of changes) {
      const found = this.#tables.get(table) ?? { rows: new Map<string, Uint8Array>(), keys: undefined };
      this.#tables.set(table, found);
      if (found.rows.has(key) !== (value !== undefined)) found.keys = undefined;
      if (value === undefined) found.rows.delete(key);
      else found.rows.set(key, value.slice());
    }
  }
}

interface Table {
  readonly rows: Map<string, Uint8Array>;
  /** Of the rows, in order; undefined when a key has come or gone since somebody asked. */
  keys: readonly string[] | undefined;
}

function sortedKeys(table: Table): readonly string[] {
  table.keys ??= [...table.rows.keys()].sort();
  return table.keys;
}

/** Index of the first key that is not before the text. */
function firstFrom(keys: readonly string[], text: string): number {
  let [low, high] = [0, keys.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle]! < text) low = middle + 1;
    else high = middle;
  }
  return low;
}
