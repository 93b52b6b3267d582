// What the agent has seen and central has not yet acknowledged. Facts: only the latest of a subject is kept.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type ReportEntry, ReportEntrySchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Change, Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";

const table = "outbox";
const metaTable = "outbox-meta";
const sequenceDigits = 20;

export interface Fact {
  readonly kind: string;
  readonly id: string;
  readonly value: Uint8Array;
  /** Wall-clock milliseconds. */
  readonly seenMs: number;
}

export class Outbox {
  /** Identity of this outbox: made when the disk was new. */
  readonly id: string;
  readonly #disk: Disk;
  readonly #entries = new Map<bigint, ReportEntry>();
  readonly #latest = new Map<string, bigint>();
  readonly #added: () => void;
  #sequence = 0n;

  private constructor(id: string, disk: Disk, added: () => void) {
    this.id = id;
    this.#disk = disk;
    this.#added = added;
  }

  /** @param added called after something was put in */
  static async open(disk: Disk, random: Random, log: Log, added: () => void): Promise<Outbox> {
    const stored = disk.get(metaTable, "id");
    const id = stored ? new TextDecoder().decode(stored) : random.uuid();
    if (!stored) await disk.write([{ table: metaTable, key: "id", value: new TextEncoder().encode(id) }]);
    const outbox = new Outbox(id, disk, added);
    outbox.#load(log);
    return outbox;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * The disk changes that put a fact in, and the step that makes it visible. The caller writes them together with
   * what the fact is about, so that neither is ever durable without the other.
   */
  prepare(fact: Fact): { readonly changes: readonly Change[]; readonly done: () => void } {
    const subject = `${fact.kind}/${fact.id}`;
    const former = this.#latest.get(subject);
    const sequence = ++this.#sequence;
    const entry = create(ReportEntrySchema, {
      sequence,
      kind: fact.kind,
      id: fact.id,
      value: fact.value,
      seenAt: timestampFromMs(fact.seenMs),
    });
    this.#latest.set(subject, sequence);
    const changes: Change[] = [
      { table, key: keyOf(sequence), value: toBinary(ReportEntrySchema, entry) },
      { table: metaTable, key: "sequence", value: new TextEncoder().encode(`${sequence}`) },
    ];
    if (former !== undefined) changes.push({ table, key: keyOf(former), value: undefined });
    const done = () => {
      if (former !== undefined) this.#entries.delete(former);
      // A newer fact of the same subject may have been prepared while this one was being written.
      if ((this.#latest.get(subject) ?? 0n) <= sequence) this.#entries.set(sequence, entry);
      this.#added();
    };
    return { changes, done };
  }

  /** The oldest entries, in order of sequence. */
  pending(limit: number): readonly ReportEntry[] {
    return [...this.#entries.values()].sort((a, b) => (a.sequence < b.sequence ? -1 : 1)).slice(0, limit);
  }

  /** Forgets every entry up to and including the sequence. */
  async acknowledge(sequence: bigint): Promise<void> {
    const done = [...this.#entries.values()].filter((entry) => entry.sequence <= sequence);
    await this.#disk.write(done.map((e) => ({ table, key: keyOf(e.sequence), value: undefined })));
    for (const entry of done) {
      this.#entries.delete(entry.sequence);
      const subject = `${entry.kind}/${entry.id}`;
      if (this.#latest.get(subject) === entry.sequence) this.#latest.delete(subject);
    }
  }

  #load(log: Log): void {
    for (const [key, bytes] of this.#disk.entries(table)) {
      try {
        const entry = fromBinary(ReportEntrySchema, bytes);
        const subject = `${entry.kind}/${entry.id}`;
        const former = this.#latest.get(subject);
        if (former !== undefined) this.#entries.delete(former);
        this.#entries.set(entry.sequence, entry);
        this.#latest.set(subject, entry.sequence);
      } catch (error) {
        log.error("outbox-entry-damaged", { key, error });
      }
    }
    const stored = this.#disk.get(metaTable, "sequence");
    const last = [...this.#entries.keys()].reduce((max, s) => (s > max ? s : max), 0n);
    const written = stored ? BigInt(new TextDecoder().decode(stored)) : 0n;
    this.#sequence = written > last ? written : last;
  }
}

/** Text that sorts as the number does. */
const keyOf = (sequence: bigint): string => `${sequence}`.padStart(sequenceDigits, "0");
