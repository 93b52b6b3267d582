// Entries of kinds that central is too old for. They wait on the disk until it says that it takes them; central itself has forgotten
// them. Of each subject it is the latest, as in the outbox. Above a limit of bytes, the oldest leave.
// Invariant: what is counted here is on the disk or on its way there, by the order of the disk's writes.
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type ReportEntry, ReportEntrySchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Change, Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import { keyOf, subjectOf } from "./subject.ts";

const table = "outbox-not-understood";
/** Of all rows: the outbox itself holds sixteen times as much of what central does take. */
export const notUnderstoodBytesMax = 16 << 20;

interface Row {
  readonly sequence: bigint;
  readonly kind: string;
  readonly bytes: number;
}

/** What is to be written, and what takes it back here when it could not be. */
interface Step {
  readonly changes: readonly Change[];
  readonly undo: () => void;
}

export class NotUnderstood {
  readonly #disk: Disk;
  readonly #log: Log;
  readonly #bytesMax: number;
  /** By subject, in no order. */
  readonly #rows = new Map<string, Row>();
  #bytes = 0;

  constructor(disk: Disk, log: Log, bytesMax: number) {
    this.#disk = disk;
    this.#log = log;
    this.#bytesMax = bytesMax;
    for (const [key, bytes] of disk.entries(table)) {
      const entry = this.#decode(key, bytes);
      if (entry) this.#set(subjectOf(entry), { sequence: entry.sequence, kind: entry.kind, bytes: bytes.length });
    }
  }

  get size(): number {
    return this.#rows.size;
  }

  /**
   * Keeps entries, each instead of the former one of its subject.
   * @returns with those that leave because there are too many bytes
   */
  keep(entries: readonly ReportEntry[]): Step & { readonly gone: readonly ReportEntry[] } {
    const steps = entries.map((entry): Step => {
      const { sequence, kind } = entry;
      const former = this.#leave(subjectOf(entry));
      const value = toBinary(ReportEntrySchema, entry);
      this.#set(subjectOf(entry), { sequence, kind, bytes: value.length });
      const undo = () => {
        this.#delete(subjectOf(entry));
        former.undo();
      };
      return { changes: [...former.changes, { table, key: keyOf(sequence), value }], undo };
    });
    const gone: ReportEntry[] = [];
    for (const [subject, { sequence }] of this.#oldest()) {
      if (this.#bytes <= this.#bytesMax) break;
      const entry = entries.find((e) => e.sequence === sequence) ?? this.#read(sequence);
      if (entry) gone.push(entry);
      steps.push(this.#leave(subject));
    }
    return {
      changes: steps.flatMap(({ changes }) => changes),
      undo: () => {
        for (const { undo } of steps.toReversed()) undo();
      },
      gone,
    };
  }

  /** There is a newer fact of the subject. @returns what is to be written with it, and what is to be called after that */
  forget(subject: string): { readonly changes: readonly Change[]; readonly done: () => void } {
    const row = this.#rows.get(subject);
    if (!row) return { changes: [], done: () => {} };
    return {
      changes: [{ table, key: keyOf(row.sequence), value: undefined }],
      done: () => {
        if (this.#rows.get(subject) === row) this.#delete(subject);
      },
    };
  }

  /** The subjects of these kinds, in the order of their sequences. */
  subjectsOf(kinds: readonly string[]): readonly string[] {
    return this.#oldest().flatMap(([subject, { kind }]) => (kinds.includes(kind) ? [subject] : []));
  }

  /** @returns undefined when nothing of the subject is kept any more */
  get(subject: string): ReportEntry | undefined {
    const row = this.#rows.get(subject);
    return row && this.#read(row.sequence);
  }

  #leave(subject: string): Step {
    const row = this.#rows.get(subject);
    if (!row) return { changes: [], undo: () => {} };
    this.#delete(subject);
    return { changes: [{ table, key: keyOf(row.sequence), value: undefined }], undo: () => this.#set(subject, row) };
  }

  #oldest(): readonly (readonly [string, Row])[] {
    return [...this.#rows].sort(([, a], [, b]) => (a.sequence < b.sequence ? -1 : 1));
  }

  #read(sequence: bigint): ReportEntry | undefined {
    const key = keyOf(sequence);
    const bytes = this.#disk.get(table, key);
    return bytes && this.#decode(key, bytes);
  }

  #decode(key: string, bytes: Uint8Array): ReportEntry | undefined {
    try {
      return fromBinary(ReportEntrySchema, bytes);
    } catch (error) {
      this.#log.error("outbox-entry-damaged", { key, error });
      return undefined;
    }
  }

  #set(subject: string, row: Row): void {
    this.#rows.set(subject, row);
    this.#bytes += row.bytes;
  }

  #delete(subject: string): void {
    this.#bytes -= this.#rows.get(subject)?.bytes ?? 0;
    this.#rows.delete(subject);
  }
}
