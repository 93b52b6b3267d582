import { mkdirSync } from "node:fs";
import { type Database, open, type RootDatabase } from "lmdb";
import type { Change, Disk } from "../disk.ts";

/** A `Disk` in one LMDB environment. A write is one transaction; concurrent ones share a flush. */
export class LmdbDisk implements Disk {
  readonly #root: RootDatabase<Buffer, string>;
  readonly #tables = new Map<string, Database<Buffer, string>>();

  /** @param folder made if it is not there, mode 0700 */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#root = open<Buffer, string>({ path: folder, encoding: "binary", maxDbs: 32, mapSize: 16 * 2 ** 30 });
  }

  get(table: string, key: string): Uint8Array | undefined {
    return this.#table(table).get(key);
  }

  *entries(table: string, prefix = ""): Iterable<readonly [string, Uint8Array]> {
    for (const { key, value } of this.#table(table).getRange({ start: prefix })) {
      if (!key.startsWith(prefix)) return;
      yield [key, value];
    }
  }

  async write(changes: readonly Change[]): Promise<void> {
    await this.#root.transaction(() => {
      for (const { table, key, value } of changes) {
        if (value === undefined) void this.#table(table).remove(key);
        else void this.#table(table).put(key, Buffer.from(value));
      }
    });
    await this.#root.flushed;
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  #table(name: string): Database<Buffer, string> {
    const table = this.#tables.get(name) ?? this.#root.openDB<Buffer, string>({ name, encoding: "binary" });
    this.#tables.set(name, table);
    return table;
  }
}
