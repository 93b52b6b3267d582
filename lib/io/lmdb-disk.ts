import type { Change, Disk } from "../disk.ts";
import { fileIdentity } from "./file-identity.ts";
import { LmdbEnvironment } from "./lmdb-environment.ts";
import { roomOf } from "./lmdb-room.ts";
import { ownMark, runningPid } from "./process-mark.ts";

/** LMDB's limit, in UTF-8. */
const keyBytesMax = 1978;
const ownerTable = "disk-owner";
const ofOwner = { bytes: roomOf([100]), tables: [ownerTable] };

/** A `Disk` in one LMDB environment, open in one process at a time. A write is one transaction; concurrent ones share a flush. */
export class LmdbDisk implements Disk {
  /** Of the file that LMDB keeps everything in. */
  readonly identity: string;
  readonly #environment: LmdbEnvironment;

  /**
   * @param folder made if it is not there, mode 0700
   * @param options.mapBytes that all data may take
   * @throws when another process that runs has it open, or there is no room to write to it
   */
  constructor(folder: string, options: { readonly mapBytes?: number } = {}) {
    this.#environment = new LmdbEnvironment({ folder, ...options, isBlind: true });
    // In a transaction, which LMDB gives to one process at a time, so two that start together cannot both win.
    const owner = this.#environment.writeNow(ofOwner, () => this.#takeOver());
    this.identity = fileIdentity(this.#environment.file);
    if (owner === undefined) return;
    void this.#environment.close();
    throw new Error(`the data in ${folder} is in use by process ${owner}: stop it first, or choose another folder`);
  }

  get(table: string, key: string): Uint8Array | undefined {
    return this.#environment.table(table)?.get(key);
  }

  *entries(table: string, prefix = ""): Iterable<readonly [string, Uint8Array]> {
    for (const { key, value } of this.#environment.table(table)?.getRange({ start: prefix }) ?? []) {
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
    const bytes = roomOf(changes.map(({ key, value }) => key.length + (value?.length ?? 0)));
    await this.#environment.write({ bytes, tables: changes.map(({ table }) => table) }, () => {
      for (const { table, key, value } of changes) {
        if (value === undefined) void this.#environment.table(table)?.remove(key);
        else
          void this.#environment.table(table)?.put(key, Buffer.from(value.buffer, value.byteOffset, value.byteLength));
      }
    });
  }

  async close(): Promise<void> {
    // If it cannot be removed: the mark of a process that is gone is taken over.
    await this.#environment.write(ofOwner, () => this.#environment.table(ownerTable)?.remove("owner")).catch(() => {});
    await this.#environment.close();
  }

  /** @returns the pid of the process that has it open, undefined when it is ours now */
  #takeOver(): number | undefined {
    const table = this.#environment.table(ownerTable);
    const owner = runningPid(table?.get("owner")?.toString() ?? "");
    if (owner === undefined) void table?.put("owner", Buffer.from(ownMark()));
    return owner;
  }
}
