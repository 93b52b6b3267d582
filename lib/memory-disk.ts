import type { Change, Disk } from "./disk.ts";

/** A `Disk` in memory, for tests and the simulator. Values are copied in and out of reach. */
export class MemoryDisk implements Disk {
  readonly identity: string = "memory";
  readonly #tables = new Map<string, Map<string, Uint8Array>>();

  get(table: string, key: string): Uint8Array | undefined {
    return this.#tables.get(table)?.get(key)?.slice();
  }

  *entries(table: string, prefix = ""): Iterable<readonly [string, Uint8Array]> {
    const sorted = [...(this.#tables.get(table) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [key, value] of sorted) if (key.startsWith(prefix)) yield [key, value.slice()];
  }

  async write(changes: readonly Change[]): Promise<void> {
    for (const { table, key, value } of changes) {
      const rows = this.#tables.get(table) ?? new Map<string, Uint8Array>();
      this.#tables.set(table, rows);
      if (value === undefined) rows.delete(key);
      else rows.set(key, value.slice());
    }
  }
}
