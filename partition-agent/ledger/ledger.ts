// The agent's durable copy of its partition's desired state.
// Invariants: what is read here was durable first; a revision is applied whole or not at all; an older one is refused.
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type DesiredItem, DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Change, Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";

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

  constructor(disk: Disk, log: Log, changed: LedgerListener) {
    this.#disk = disk;
    this.#log = log;
    this.#changed = changed;
    const stored = disk.get(cursorTable, "cursor");
    if (stored) this.#cursor = decodeCursor(stored);
    for (const [key, bytes] of disk.entries(table)) {
      const item = decodeItem(bytes);
      if (item) this.#items.set(key, item);
      else log.error("ledger-item-damaged", { key });
    }
  }

  get cursor(): Cursor {
    return this.#cursor;
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

  /** Replaces all by a full set, in one step. Items that are in neither set are reported as changed, too. */
  async applySnapshot(cursor: Cursor, items: readonly DesiredItem[]): Promise<void> {
    const next = new Map(items.map((item) => [keyOf(item.kind, item.id), item]));
    const gone = [...this.#items.values()].filter((item) => !next.has(keyOf(item.kind, item.id)));
    const changed = items.filter((item) => this.#items.get(keyOf(item.kind, item.id))?.revision !== item.revision);
    await this.#disk.write([
      ...gone.map((item): Change => ({ table, key: keyOf(item.kind, item.id), value: undefined })),
      ...changed.map(putOf),
      cursorChange(cursor),
    ]);
    this.#items = next;
    this.#cursor = cursor;
    for (const item of [...gone, ...changed]) this.#changed(item.kind, item.id);
  }

  /**
   * Applies all that one revision changed.
   * @returns false when the revision is not newer than the ledger's: nothing was changed
   */
  async applyDelta(revision: bigint, items: readonly DesiredItem[]): Promise<boolean> {
    if (revision <= this.#cursor.revision) {
      this.#log.warn("ledger-refused-older-revision", { revision: `${revision}`, at: `${this.#cursor.revision}` });
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
  return /^\d+$/.test(revision) ? { history, revision: BigInt(revision) } : { history: "", revision: 0n };
}

function decodeItem(bytes: Uint8Array): DesiredItem | undefined {
  try {
    return fromBinary(DesiredItemSchema, bytes);
  } catch {
    return undefined;
  }
}
