import { mkdirSync } from "node:fs";
import path from "node:path";
import { type Database, open, type RootDatabase } from "lmdb";
import type { Change, Disk } from "../disk.ts";
import { fileIdentity } from "./file-identity.ts";
import { ownMark, runningPid } from "./process-mark.ts";

/** LMDB's limit, in UTF-8. */
const keyBytesMax = 1978;
const ownerTable = "disk-owner";

/** A `Disk` in one LMDB environment, open in one process at a time. A write is one transaction; concurrent ones share a flush. */
export class LmdbDisk implements Disk {
  /** Of the file that LMDB keeps everything in. */
  readonly identity: string;
  readonly #root: RootDatabase<Buffer, string>;
  readonly #tables = new Map<string, Database<Buffer, string>>();

  /**
   * @param folder made if it is not there, mode 0700
   * @throws when another process that runs has it open
   */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#root = open<Buffer, string>({ path: folder, encoding: "binary", maxDbs: 32, mapSize: 16 * 2 ** 30 });
    // In a transaction, which LMDB gives to one process at a time, so two that start together cannot both win.
    const owner = this.#root.transactionSync(() => this.#takeOver());
    this.identity = fileIdentity(path.join(folder, "data.mdb"));
    if (owner === undefined) return;
    void this.#root.close();
    throw new Error(`the data in ${folder} is in use by process ${owner}: stop it first, or choose another folder`);
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
    // LMDB would notice in the middle of the transaction, and keep what came before.
    for (const { table, key } of changes) {
      const bytes = Buffer.byteLength(key);
      if (bytes === 0 || bytes > keyBytesMax)
        throw new Error(`disk key of ${bytes} bytes in table ${table}: 1 to ${keyBytesMax} can be stored`);
    }
    // A batch is a transaction that LMDB's own thread carries out. `transaction` would come back into this one for it, and let that
    // one wait meanwhile.
    await this.#root.batch(() => {
      for (const { table, key, value } of changes) {
        if (value === undefined) void this.#table(table).remove(key);
        else void this.#table(table).put(key, Buffer.from(value));
      }
    });
    await this.#root.flushed;
  }

  async close(): Promise<void> {
    await this.#root.transaction(() => void this.#table(ownerTable).remove("owner"));
    await this.#root.close();
  }

  /** @returns the pid of the process that has it open, undefined when it is ours now */
  #takeOver(): number | undefined {
    const table = this.#table(ownerTable);
    const owner = runningPid(table.get("owner")?.toString() ?? "");
    if (owner === undefined) void table.put("owner", Buffer.from(ownMark()));
    return owner;
  }

  #table(name: string): Database<Buffer, string> {
    const table = this.#tables.get(name) ?? this.#root.openDB<Buffer, string>({ name, encoding: "binary" });
    this.#tables.set(name, table);
    return table;
  }
}
