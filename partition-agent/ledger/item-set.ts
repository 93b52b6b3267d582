// One set of desired items on the disk, in a table of its own. It is read from the disk each time, so that a set takes no memory,
// however many machines a partition has.
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type DesiredItem, DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { equalBytes } from "#lib/bytes.ts";
import type { Change, Disk } from "#lib/disk.ts";

/** Rows that one write clears away. */
const clearedAtOnce = 1_000;

export class ItemSet {
  readonly table: string;
  readonly #disk: Disk;

  constructor(disk: Disk, table: string) {
    this.#disk = disk;
    this.table = table;
  }

  /** @returns undefined when there is none, or when its row cannot be read */
  get(kind: string, id: string): DesiredItem | undefined {
    const key = keyOf(kind, id);
    const bytes = this.#disk.get(this.table, key);
    return bytes && itemOf(key, bytes);
  }

  /** Of one kind, or of all; what cannot be read is left out. */
  *items(kind?: string): Iterable<DesiredItem> {
    for (const [key, bytes] of this.#disk.entries(this.table, kind === undefined ? "" : keyOf(kind, ""))) {
      const item = itemOf(key, bytes);
      if (item) yield item;
    }
  }

  /** Keys of rows that cannot be read. */
  *damaged(): Iterable<string> {
    for (const [key, bytes] of this.#disk.entries(this.table)) if (!itemOf(key, bytes)) yield key;
  }

  /** What to write so that the item is in the set, or gone from it. */
  change(item: DesiredItem): Change {
    return item.deleted
      ? { table: this.table, key: keyOf(item.kind, item.id), value: undefined }
      : this.row(item, toBinary(DesiredItemSchema, item));
  }

  /** As `change`, of an item whose bytes are at hand. */
  row({ kind, id }: DesiredItem, value: Uint8Array): Change {
    return { table: this.table, key: keyOf(kind, id), value };
  }

  /** What the other set has otherwise, or not at all, or alone. Both are read once, side by side. */
  *differences(other: ItemSet): Iterable<{ readonly kind: string; readonly id: string }> {
    const [mine, others] = [rows(this.#disk, this.table), rows(this.#disk, other.table)];
    let [a, b] = [mine.next(), others.next()];
    while (!a.done || !b.done) {
      const order = a.done ? 1 : b.done ? -1 : a.value[0] < b.value[0] ? -1 : a.value[0] > b.value[0] ? 1 : 0;
      const isEqual = order === 0 && !a.done && !b.done && equalBytes(a.value[1], b.value[1]);
      const [key] = order > 0 ? b.value! : a.value!;
      if (!isEqual) yield subjectOf(key);
      if (order <= 0) a = mine.next();
      if (order >= 0) b = others.next();
    }
  }

  /** Little by little: what reads it meanwhile sees a part. */
  async clear(): Promise<void> {
    for (;;) {
      const keys: string[] = [];
      for (const [key] of this.#disk.entries(this.table)) if (keys.push(key) === clearedAtOnce) break;
      if (keys.length === 0) return;
      await this.#disk.write(keys.map((key): Change => ({ table: this.table, key, value: undefined })));
    }
  }
}

const rows = (disk: Disk, table: string): Iterator<readonly [string, Uint8Array]> =>
  disk.entries(table)[Symbol.iterator]();

const keyOf = (kind: string, id: string): string => `${kind}/${id}`;

function subjectOf(key: string): { readonly kind: string; readonly id: string } {
  const at = key.indexOf("/");
  return at < 0 ? { kind: key, id: "" } : { kind: key.slice(0, at), id: key.slice(at + 1) };
}

function itemOf(key: string, bytes: Uint8Array): DesiredItem | undefined {
  try {
    const item = fromBinary(DesiredItemSchema, bytes);
    return keyOf(item.kind, item.id) === key ? item : undefined;
  } catch {
    return undefined;
  }
}
