// What the agent has seen and central has not yet acknowledged. Facts: only the latest of a subject is kept.
// It holds so many bytes; above that, some kinds of entries give way (give-way.ts) and are kept aside with the reason. What central is
// too old for waits until it is not (not-understood.ts).
// Invariants: nothing is pending that is not durable; a sequence is used once, also across restarts and failed writes.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type RejectedEntry, type ReportEntry, ReportEntrySchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Change, Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { sometimes } from "#lib/sometimes.ts";
import { leaving } from "./give-way.ts";
import { NotUnderstood, notUnderstoodBytesMax as waitingBytesMax } from "./not-understood.ts";
import { keyOf, subjectOf } from "./subject.ts";

const table = "outbox";
const metaTable = "outbox-meta";
const rejectedTable = "outbox-rejected";
const rejectedMax = 256;
/** Of all values: a year of what people on site do, beside the facts of 20,000 machines. */
const outboxBytesMax = 256 << 20;
/** Entries that are put in again at once: their writes share a flush. */
const offeredAtOnce = 100;

export interface Fact {
  readonly kind: string;
  readonly id: string;
  readonly value: Uint8Array;
  /** Wall-clock milliseconds. */
  readonly seenMs: number;
}

interface OutboxLimits {
  /** Of all values; what may not give way stays beyond it. */
  readonly bytesMax: number;
  /** Of the entries whose kind central does not know. */
  readonly notUnderstoodBytesMax: number;
}

interface OutboxPorts extends OutboxLimits {
  readonly disk: Disk;
  readonly random: Random;
  readonly log: Log;
  readonly added: () => void;
}

type Rejected = Pick<RejectedEntry, "sequence" | "reason"> & Partial<Pick<RejectedEntry, "unknownKind">>;

/** An entry that is not sent any more, with the reason. */
interface DeadLetter {
  readonly entry: ReportEntry;
  readonly reason: string;
}

export class Outbox {
  readonly #ports: OutboxPorts;
  readonly #entries = new Map<bigint, ReportEntry>();
  /** By subject: the sequences that are on disk or on their way there. */
  readonly #sequences = new Map<string, Set<bigint>>();
  readonly #notUnderstood: NotUnderstood;
  #id: string;
  #sequence = 0n;
  /** Of the values of all entries. */
  #bytes = 0;
  #isOverFull = false;

  private constructor(id: string, ports: OutboxPorts) {
    this.#id = id;
    this.#ports = ports;
    this.#notUnderstood = new NotUnderstood(ports.disk, ports.log, ports.notUnderstoodBytesMax);
  }

  /** @param added called after something was put in */
  static async open(
    disk: Disk,
    random: Random,
    log: Log,
    added: () => void,
    { bytesMax = outboxBytesMax, notUnderstoodBytesMax = waitingBytesMax }: Partial<OutboxLimits> = {},
  ): Promise<Outbox> {
    const stored = disk.get(metaTable, "id");
    const id = stored ? new TextDecoder().decode(stored) : random.uuid();
    const outbox = new Outbox(id, { disk, random, log, added, bytesMax, notUnderstoodBytesMax });
    const damaged = outbox.#load();
    const changes = damaged.map((key): Change => ({ table, key, value: undefined }));
    if (!stored) changes.push(idChange(id));
    if (changes.length > 0) await disk.write(changes);
    return outbox;
  }

  /** Identity of this outbox: made when the disk was new. */
  get id(): string {
    return this.#id;
  }

  /** The highest sequence that was ever used. */
  get sequence(): bigint {
    return this.#sequence;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Of the values of all entries. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Entries that wait for a central that knows their kind. */
  get notUnderstood(): number {
    return this.#notUnderstood.size;
  }

  /**
   * Puts a fact in, instead of the former one of its subject. Resolves when it is durable.
   * @param also written together with it, so that neither is ever durable without the other
   */
  async put(fact: Fact, also: readonly Change[] = []): Promise<void> {
    const sequence = ++this.#sequence;
    const entry = create(ReportEntrySchema, {
      sequence,
      kind: fact.kind,
      id: fact.id,
      value: fact.value,
      seenAt: timestampFromMs(fact.seenMs),
    });
    const sequences = this.#sequencesOf(entry);
    const former = [...sequences];
    sequences.add(sequence);
    const gone = leaving(this.#entries.values(), this.#bytes + fact.value.length - this.#ports.bytesMax);
    const reason = `it gave way: the outbox holds ${this.#ports.bytesMax} bytes, and central took nothing for too long`;
    const waiting = this.#notUnderstood.forget(subjectOf(entry));
    try {
      await this.#ports.disk.write([
        ...also,
        ...gone.map((e): Change => ({ table, key: keyOf(e.sequence), value: undefined })),
        ...this.#aside(gone.map((e) => ({ entry: e, reason }))),
        ...waiting.changes,
        { table, key: keyOf(sequence), value: toBinary(ReportEntrySchema, entry) },
        { table: metaTable, key: "sequence", value: new TextEncoder().encode(`${sequence}`) },
        ...former.map((s): Change => ({ table, key: keyOf(s), value: undefined })),
      ]);
    } catch (error) {
      this.#forget(entry);
      throw error;
    }
    waiting.done();
    for (const entry of gone) this.#drop(entry.sequence);
    for (const s of former) {
      sequences.delete(s);
      this.#drop(s);
    }
    // A newer fact of the subject that was written first has taken this one away.
    if (sequences.has(sequence)) this.#keep(entry);
    this.#tellWhenFull();
    this.#ports.added();
  }

  /** The oldest entries, in order of sequence. @param bytesMax of their values; the first comes whatever its size */
  pending(limit: number, bytesMax = Number.POSITIVE_INFINITY): readonly ReportEntry[] {
    const oldest = [...this.#entries.values()].sort((a, b) => (a.sequence < b.sequence ? -1 : 1)).slice(0, limit);
    let bytes = 0;
    const end = oldest.findIndex((entry, i) => {
      bytes += entry.value.length;
      return i > 0 && bytes > bytesMax;
    });
    return end < 0 ? oldest : oldest.slice(0, end);
  }

  /**
   * Forgets every entry up to and including the sequence.
   * @param rejected those among them that central does not take: kept aside with the reason, the latest 256, or until central knows
   *   their kind
   */
  async acknowledge(sequence: bigint, rejected: readonly Rejected[] = []) {
    if (sequence > this.#sequence) return await this.becomeAnother();
    const done = [...this.#entries.values()].filter((entry) => entry.sequence <= sequence);
    if (done.length === 0) return;
    const named = rejected.flatMap(({ sequence, reason, unknownKind = false }) => {
      const entry = this.#entries.get(sequence);
      return entry ? [{ entry, reason, unknownKind }] : [];
    });
    const waiting = this.#wait(named.filter((r) => r.unknownKind).map(({ entry }) => entry));
    const reason = `it gave way: ${this.#ports.notUnderstoodBytesMax} bytes wait for a central that knows their kinds`;
    const dead = named.filter((r) => !r.unknownKind);
    try {
      await this.#ports.disk.write([
        ...done.map((e): Change => ({ table, key: keyOf(e.sequence), value: undefined })),
        ...waiting.changes,
        ...this.#aside([...dead, ...waiting.gone.map((entry) => ({ entry, reason }))]),
      ]);
    } catch (error) {
      waiting.undo();
      throw error;
    }
    for (const entry of done) this.#drop(entry.sequence);
  }

  #wait(entries: readonly ReportEntry[]): ReturnType<NotUnderstood["keep"]> {
    const kinds = [...new Set(entries.map(({ kind }) => kind))];
    for (const kind of kinds) {
      // Once, and again after a central knew it.
      if (this.#notUnderstood.subjectsOf([kind]).length === 0) this.#ports.log.warn("report-not-understood", { kind });
    }
    // One that is followed by a newer fact of its subject is not told any more.
    return this.#notUnderstood.keep(entries.filter((e) => [...this.#sequencesOf(e)].every((s) => s <= e.sequence)));
  }

  /** Central takes these kinds: what waited for that is put in anew, in its order. Resolves when it is durable. */
  async offerAgain(kinds: readonly string[]): Promise<void> {
    const subjects = this.#notUnderstood.subjectsOf(kinds);
    if (subjects.length > 0) this.#ports.log.info("report-understood", { entries: subjects.length });
    for (let at = 0; at < subjects.length; at += offeredAtOnce) {
      const some = subjects.slice(at, at + offeredAtOnce);
      await Promise.all(
        some.map(async (subject) => {
          const entry = this.#notUnderstood.get(subject);
          // What is newer of the subject is on its way.
          if (!entry || this.#sequences.has(subject)) return;
          const { kind, id, value, seenAt } = entry;
          await this.put({ kind, id, value, seenMs: seenAt ? timestampMs(seenAt) : 0 });
        }),
      );
    }
  }

  /** What central refused, oldest first. */
  rejected(): readonly DeadLetter[] {
    return Array.from(this.#ports.disk.entries(rejectedTable), ([, bytes]) => {
      const entry = decodeEntry(bytes.subarray(4 + lengthOf(bytes)));
      const reason = new TextDecoder().decode(bytes.subarray(4, 4 + lengthOf(bytes)));
      return entry ? [{ entry, reason }] : [];
    }).flat();
  }

  #aside(letters: readonly DeadLetter[]): Change[] {
    if (letters.length === 0) return [];
    const { disk, log } = this.#ports;
    const kept = Array.from(disk.entries(rejectedTable), ([key]) => key);
    const added = letters.map(({ entry, reason }): Change => {
      log.error("report-rejected", { kind: entry.kind, id: entry.id, reason });
      return { table: rejectedTable, key: keyOf(entry.sequence), value: rejectedRow(entry, reason) };
    });
    const surplus = kept.slice(0, Math.max(0, kept.length + added.length - rejectedMax));
    return [...added, ...surplus.map((key): Change => ({ table: rejectedTable, key, value: undefined }))];
  }

  /**
   * Takes another identity. Under the old one everything new could pass for a repetition: central has taken more from it than is
   * known here.
   */
  async becomeAnother(): Promise<void> {
    const { disk, random, log } = this.#ports;
    sometimes(log, "an agent's disk was an older copy of itself");
    const id = random.uuid();
    await disk.write([idChange(id)]);
    log.error("outbox-has-a-new-identity", { sequence: `${this.#sequence}`, former: this.#id, outbox: id });
    this.#id = id;
  }

  #keep(entry: ReportEntry): void {
    this.#entries.set(entry.sequence, entry);
    this.#bytes += entry.value.length;
  }

  #drop(sequence: bigint): void {
    const entry = this.#entries.get(sequence);
    if (!entry) return;
    this.#entries.delete(sequence);
    this.#bytes -= entry.value.length;
    this.#forget(entry);
  }

  /** Once, and again after it had room. */
  #tellWhenFull(): void {
    const { bytesMax, log } = this.#ports;
    const isOverFull = this.#bytes > bytesMax;
    if (isOverFull && !this.#isOverFull)
      log.error("outbox-over-full", { bytes: this.#bytes, bytesMax, entries: this.#entries.size });
    this.#isOverFull = isOverFull;
  }

  #sequencesOf(entry: ReportEntry): Set<bigint> {
    const subject = subjectOf(entry);
    const known = this.#sequences.get(subject) ?? new Set();
    this.#sequences.set(subject, known);
    return known;
  }

  #forget(entry: ReportEntry): void {
    const sequences = this.#sequences.get(subjectOf(entry));
    sequences?.delete(entry.sequence);
    if (sequences?.size === 0) this.#sequences.delete(subjectOf(entry));
  }

  /** @returns keys of rows that cannot be read */
  #load(): readonly string[] {
    const { disk, log } = this.#ports;
    const damaged: string[] = [];
    for (const [key, bytes] of disk.entries(table)) {
      const entry = decodeEntry(bytes);
      if (!entry || keyOf(entry.sequence) !== key) {
        log.error("outbox-entry-damaged", { key });
        damaged.push(key);
        continue;
      }
      this.#sequencesOf(entry).add(entry.sequence);
      this.#keep(entry);
    }
    const last = [...this.#entries.keys()].reduce((max, s) => (s > max ? s : max), 0n);
    const stored = new TextDecoder().decode(disk.get(metaTable, "sequence"));
    const written = /^\d{1,20}$/.test(stored) ? BigInt(stored) : 0n;
    this.#sequence = written > last ? written : last;
    return damaged;
  }
}

const idChange = (id: string): Change => ({ table: metaTable, key: "id", value: new TextEncoder().encode(id) });

function decodeEntry(bytes: Uint8Array): ReportEntry | undefined {
  try {
    return fromBinary(ReportEntrySchema, bytes);
  } catch {
    return undefined;
  }
}

/** Length of the reason (4 bytes, big-endian), the reason, the entry. */
function rejectedRow(entry: ReportEntry, reason: string): Uint8Array {
  const text = new TextEncoder().encode(reason);
  const value = toBinary(ReportEntrySchema, entry);
  const row = new Uint8Array(4 + text.length + value.length);
  new DataView(row.buffer).setUint32(0, text.length);
  row.set(text, 4);
  row.set(value, 4 + text.length);
  return row;
}

const lengthOf = (row: Uint8Array): number =>
  row.length < 4 ? 0 : new DataView(row.buffer, row.byteOffset, row.byteLength).getUint32(0);
