// The agent's durable copy of its partition's desired state.
// Invariants: what is read here was durable first; a revision is applied whole or not at all; an older one is refused;
// different content under an equal revision of one history is reported, not absorbed.
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type DesiredItem, DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { equalBytes } from "#lib/bytes.ts";
import type { Change, Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import { sometimes } from "#lib/sometimes.ts";

const table = "ledger";
const cursorTable = "ledger-cursor";

export interface Cursor {
  /** History of the store that the revision belongs to; empty before the first snapshot. */
  readonly history: string;
  readonly revision: bigint;
}

/** Called once per applied item, after it is durable. */
export type LedgerListener = (kind: string, id: string) => void;

export class Ledger {
  readonly #disk: Disk;
  readonly #log: Log;
  readonly #changed: LedgerListener;
  #items = new Map<string, DesiredItem>();
  #cursor: Cursor = { history: "", revision: 0n };
  #isDamaged = false;

  constructor(disk: Disk, log: Log, changed: LedgerListener) {
    this.#disk = disk;
    this.#log = log;
    this.#changed = changed;
    const stored = disk.get(cursorTable, "cursor");
    if (stored) this.#cursor = decodeCursor(stored);
    let damaged = 0;
    for (const [key, bytes] of disk.entries(table)) {
      const item = decodeItem(bytes);
      if (item && keyOf(item.kind, item.id) === key) this.#items.set(key, item);
      else {
        damaged++;
        log.error("ledger-item-damaged", { key });
      }
    }
    // What was lost comes again only with everything.
    if (damaged > 0) this.#cursor = { ...this.#cursor, revision: 0n };
    this.#isDamaged = damaged > 0;
  }

  get cursor(): Cursor {
    return this.#cursor;
  }

  /** Rows were unreadable, and no full set has come since. */
  get isDamaged(): boolean {
    return this.#isDamaged;
  }

  /** @returns undefined when there is none, or when its bytes are not of that message */
  get<S extends DescMessage>(kind: string, id: string, schema: S): MessageShape<S> | undefined {
    const item = this.#items.get(keyOf(kind, id));
    return item && this.#decode(item, schema);
  }

  list<S extends DescMessage>(kind: string, schema: S): readonly MessageShape<S>[] {
    const found: MessageShape<S>[] = [];
    for (const item of this.#items.values()) {
      if (item.kind !== kind) continue;
      const value = this.#decode(item, schema);
      if (value) found.push(value);
    }
    return found;
  }

  /**
   * Replaces all by a full set, in one step. Items that are in the former set only are reported as changed, too.
   * @throws when the set is older than the ledger: central lost what it had told, and somebody must look at that
   */
  async applySnapshot(cursor: Cursor, items: readonly DesiredItem[]): Promise<void> {
    const isSameHistory = cursor.history === this.#cursor.history;
    if (isSameHistory && cursor.revision < this.#cursor.revision) {
      sometimes(this.#log, "the ledger refused an older full set");
      throw new Error(
        `central's snapshot is of revision ${cursor.revision}, the ledger is at ${this.#cursor.revision}`,
      );
    }
    if (!isSameHistory && this.#cursor.history !== "") {
      this.#log.warn("ledger-history-changed", { from: this.#cursor.history, to: cursor.history });
    }
    const present = items.filter((item) => !item.deleted);
    const next = new Map(present.map((item) => [keyOf(item.kind, item.id), item]));
    const changed: DesiredItem[] = [];
    for (const [key, item] of next) {
      const known = this.#items.get(key);
      if (known && equalBytes(known.value, item.value) && known.revision === item.revision) continue;
      if (known && isSameHistory && known.revision === item.revision) {
        this.#contradicts(item);
        next.set(key, known);
      } else changed.push(item);
    }
    const gone = [...this.#items.values()].filter((item) => !next.has(keyOf(item.kind, item.id)));
    const goneKeys = Array.from(this.#disk.entries(table), ([key]) => key).filter((key) => !next.has(key));
    await this.#disk.write([
      ...goneKeys.map((key): Change => ({ table, key, value: undefined })),
      ...changed.map(putOf),
      cursorChange(cursor),
    ]);
    this.#items = next;
    this.#cursor = cursor;
    this.#isDamaged = false;
    for (const item of [...gone, ...changed]) this.#changed(item.kind, item.id);
  }

  /**
   * Applies all that one revision changed.
   * @returns false when the revision is not newer than the ledger's: nothing was changed
   */
  async applyDelta(revision: bigint, items: readonly DesiredItem[]): Promise<boolean> {
    if (revision <= this.#cursor.revision) {
      this.#log.warn("ledger-refused-older-revision", { revision: `${revision}`, at: `${this.#cursor.revision}` });
      for (const item of items) {
        const known = this.#items.get(keyOf(item.kind, item.id));
        if (known?.revision === item.revision && !equalBytes(known.value, item.value)) this.#contradicts(item);
      }
      return false;
    }
    const cursor = { history: this.#cursor.history, revision };
    await this.#disk.write([
      ...items.map((item) => (item.deleted ? { ...putOf(item), value: undefined } : putOf(item))),
      cursorChange(cursor),
    ]);
    for (const item of items) {
      if (item.deleted) this.#items.delete(keyOf(item.kind, item.id));
      else this.#items.set(keyOf(item.kind, item.id), item);
    }
    this.#cursor = cursor;
    for (const item of items) this.#changed(item.kind, item.id);
    return true;
  }

  #contradicts({ kind, id, revision }: DesiredItem): void {
    this.#log.error("ledger-contradicted", { kind, id, revision: `${revision}` });
  }

  #decode<S extends DescMessage>(item: DesiredItem, schema: S): MessageShape<S> | undefined {
    try {
      return fromBinary(schema, item.value);
    } catch (error) {
      this.#log.error("ledger-item-undecodable", { kind: item.kind, id: item.id, error });
      return undefined;
    }
  }
}

const keyOf = (kind: string, id: string): string => `${kind}/${id}`;

const putOf = (item: DesiredItem): Change => ({
  table,
  key: keyOf(item.kind, item.id),
  value: toBinary(DesiredItemSchema, item),
});

const cursorChange = (cursor: Cursor): Change => ({
  table: cursorTable,
  key: "cursor",
  value: new TextEncoder().encode(`${cursor.revision} ${cursor.history}`),
});

function decodeCursor(bytes: Uint8Array): Cursor {
  const [revision = "0", history = ""] = new TextDecoder().decode(bytes).split(" ");
  return /^\d{1,20}$/.test(revision) ? { history, revision: BigInt(revision) } : { history: "", revision: 0n };
}

function decodeItem(bytes: Uint8Array): DesiredItem | undefined {
  try {
    return fromBinary(DesiredItemSchema, bytes);
  } catch {
    return undefined;
  }
}
