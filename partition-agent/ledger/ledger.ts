// The agent's durable copy of its partition's desired state.
// Invariants: what is read here was durable first; a revision is applied whole or not at all; an older one is refused;
// different content under an equal revision of one history is reported, not absorbed; a set of another history than the one that
// is acted on is held until somebody has accepted that history.
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { differingKinds, digestItems, type KindDigest } from "#domain/sync/item-digest.ts";
import { AcceptedHistorySchema } from "#gen/holdfast/state/v1/history_pb.ts";
import {
  type LedgerContradiction,
  type LedgerContradictions,
  LedgerContradictionsSchema,
} from "#gen/holdfast/state/v1/ledger_pb.ts";
import { type DesiredItem, DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { equalBytes } from "#lib/bytes.ts";
import type { Change, Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import { OneByOne } from "#lib/one-by-one.ts";
import { Refusal } from "#lib/refusal.ts";
import { sometimes } from "#lib/sometimes.ts";
import { contradictionOf, contradictions, isSameList, withFound, withoutHealed } from "./contradictions.ts";
import type { ItemSides } from "./item-difference.ts";
import { ItemSet } from "./item-set.ts";

/** One for what is in force, one for what is held, one for what is coming in. */
const setTables = ["ledger", "ledger-2", "ledger-3"] as const;
const cursorTable = "ledger-cursor";
const contradictionsKey = "contradictions";
/** Parts of a set that are on their way to the disk at once: they share its flushes. */
const writesAhead = 4;

export interface Cursor {
  /** History of the store that the revision belongs to; empty before the first snapshot. */
  readonly history: string;
  readonly revision: bigint;
}

/** A whole set, and how new it is. */
interface Place {
  readonly set: ItemSet;
  readonly cursor: Cursor;
}

/**
 * Called once per applied item, after it is durable. Of the kind "history" after a set was held or the holding has ended, with the
 * history that is in force as its id; of the kind "held-history" after items of what is held have changed, with these, of the kind "contradictions" after
 * those have.
 */
export type LedgerListener = (kind: string, id: string, items?: readonly DesiredItem[]) => void;

/** A full set on its way in. */
export interface ComingSet {
  /**
   * Resolves when there is room for more: a few parts are on their way to the disk while the next one comes.
   * @param items each a DesiredItem, in binary form
   */
  add(items: readonly Uint8Array[]): Promise<void>;
  /** Resolves when all of it is durable: in one step the set is in force or, when it is of a history that nobody has accepted, held. */
  finish(): Promise<void>;
}

export class Ledger {
  readonly #disk: Disk;
  readonly #log: Log;
  readonly #changed: LedgerListener;
  #inForce: Place;
  #held: Place | undefined;
  #isDamaged = false;
  #contradictions: LedgerContradictions | undefined;
  /** The link applies what comes, and people accept histories: each finds the ledger as the one before left it. */
  readonly #turns = new OneByOne();

  constructor(disk: Disk, log: Log, changed: LedgerListener) {
    this.#disk = disk;
    this.#log = log;
    this.#changed = changed;
    this.#inForce = this.#stored("cursor") ?? this.#place(setTables[0], { history: "", revision: 0n });
    this.#held = this.#stored("held");
    this.#contradictions = this.#storedContradictions();
    // What was lost comes again only with everything.
    if (this.#countDamaged(this.#inForce) > 0) {
      this.#isDamaged = true;
      this.#inForce = { ...this.#inForce, cursor: { ...this.#inForce.cursor, revision: 0n } };
    }
    if (this.#held && this.#countDamaged(this.#held) > 0)
      this.#held = { ...this.#held, cursor: { ...this.#held.cursor, revision: 0n } };
  }

  /** Of what is acted on. */
  get cursor(): Cursor {
    return this.#inForce.cursor;
  }

  /** Of the set that waits until somebody accepts its history. */
  get held(): Cursor | undefined {
    return this.#held?.cursor;
  }

  /** Where central has told something else under a revision than before; undefined when it never did. */
  get contradictions(): LedgerContradictions | undefined {
    return this.#contradictions;
  }

  /** Where central goes on: at the very beginning when what is here is not believed. */
  get followed(): Cursor {
    const { cursor } = this.#held ?? this.#inForce;
    return this.#isDamaged ? { ...cursor, revision: 0n } : cursor;
  }

  /**
   * Compares what it holds with what central says that it must. Where they differ it is not believed any more: central is asked for
   * everything, and what comes then counts, whatever its revision.
   * @returns the kinds that differ
   */
  driftFrom(told: ReadonlyMap<string, KindDigest>): readonly string[] {
    const place = this.#held ?? this.#inForce;
    const kinds = differingKinds(digestItems(place.set.items()), told);
    if (kinds.length === 0) return [];
    sometimes(this.#log, "a ledger had drifted from central");
    this.#log.error("ledger-drifted", { kinds: kinds.join(" "), revision: `${place.cursor.revision}` });
    this.#isDamaged = true;
    return kinds;
  }

  /** Rows were unreadable or not those that central told, and no full set has come since. */
  get isDamaged(): boolean {
    return this.#isDamaged;
  }

  /** @returns undefined when there is none, or when its bytes are not of that message */
  get<S extends DescMessage>(kind: string, id: string, schema: S): MessageShape<S> | undefined {
    return this.#read(this.#inForce, kind, id, schema);
  }

  /** As `get`, of the set that is held. */
  getHeld<S extends DescMessage>(kind: string, id: string, schema: S): MessageShape<S> | undefined {
    return this.#held && this.#read(this.#held, kind, id, schema);
  }

  list<S extends DescMessage>(kind: string, schema: S): readonly MessageShape<S>[] {
    const found: MessageShape<S>[] = [];
    for (const item of this.#inForce.set.items(kind)) {
      const value = this.#decode(item, schema);
      if (value) found.push(value);
    }
    return found;
  }

  /** In what the held set and the one in force are not alike; nothing when none is held. */
  differences(): Iterable<{ readonly kind: string; readonly id: string }> {
    return this.#held ? this.#inForce.set.differences(this.#held.set) : [];
  }

  /** What is in force of an item, and what is held. */
  sidesOf(kind: string, id: string): ItemSides {
    return { inForce: this.#inForce.set.get(kind, id), held: this.#held?.set.get(kind, id) };
  }

  /**
   * A full set begins. It is written aside as it comes, so that no more of it is in memory than what `add` was given.
   * @throws when the set is older than what is here of its history: central lost what it had told, and somebody must look at that
   */
  async begin(cursor: Cursor): Promise<ComingSet> {
    const known = [this.#held, this.#inForce].find((place) => place?.cursor.history === cursor.history);
    if (known && cursor.revision < known.cursor.revision) {
      throw new Error(
        `central's snapshot is of revision ${cursor.revision}, the ledger is at ${known.cursor.revision}`,
      );
    }
    // What is not believed contradicts nothing.
    const believed = this.#isDamaged ? undefined : known;
    const used = [this.#inForce.set.table, this.#held?.set.table];
    const place = this.#place(setTables.find((table) => !used.includes(table))!, cursor);
    await place.set.clear();
    const writes: Promise<void>[] = [];
    const found: LedgerContradiction[] = [];
    return {
      add: async (items) => {
        const changes = items.flatMap((bytes): Change | readonly Change[] => {
          const item = fromBinary(DesiredItemSchema, bytes);
          if (item.deleted) return [];
          const kept = this.#contradicted(believed, item);
          if (!kept) return place.set.row(item, bytes);
          found.push(contradictionOf(kept, item));
          return place.set.change(kept);
        });
        if (writes.length === writesAhead) await writes.shift();
        const write = this.#disk.write(changes);
        // Whoever comes next hears of it.
        write.catch(() => {});
        writes.push(write);
      },
      finish: async () => {
        await Promise.all(writes);
        await this.#turns.run(() => this.#finish(place, contradictions(found)));
      },
    };
  }

  /** Replaces all by a full set that is at hand. @throws as `begin` */
  async applySnapshot(cursor: Cursor, items: readonly DesiredItem[]): Promise<void> {
    const coming = await this.begin(cursor);
    await coming.add(items.map((item) => toBinary(DesiredItemSchema, item)));
    await coming.finish();
  }

  async #finish(place: Place, found: LedgerContradictions): Promise<void> {
    const { history } = this.#inForce.cursor;
    if (history === "" || history === place.cursor.history || this.#isAccepted(place))
      return await this.#enforce(place, found);
    const former = this.#held;
    await this.#disk.write([cursorChange("held", place), ...this.#contradictionsChange(found)]);
    this.#contradict(found);
    this.#held = place;
    sometimes(this.#log, "an agent held a set of another history");
    this.#log.warn("ledger-holds-history", { inForce: history, held: place.cursor.history });
    this.#changed("history", history);
    await former?.set.clear();
  }

  /** From now on this set is what is acted on. Items that were in the former set only are reported as changed, too. */
  async #enforce(place: Place, found = this.#contradictions): Promise<void> {
    const [former, held] = [this.#inForce, this.#held];
    const isDamaged = this.#isDamaged;
    await this.#disk.write([
      cursorChange("cursor", place),
      { table: cursorTable, key: "held", value: undefined },
      ...this.#contradictionsChange(found),
    ]);
    this.#contradict(found);
    this.#inForce = place;
    this.#held = undefined;
    this.#isDamaged = false;
    if (former.cursor.history !== place.cursor.history && former.cursor.history !== "")
      this.#log.warn("ledger-history-changed", { from: former.cursor.history, to: place.cursor.history });
    for (const { kind, id } of former.set.differences(place.set)) this.#changed(kind, id);
    if (held || isDamaged) this.#changed("history", place.cursor.history);
    for (const left of [former, held]) if (left && left.set.table !== place.set.table) await left.set.clear();
  }

  /**
   * Puts into force what is held.
   * @throws Refusal "precondition" when nothing is, or a set of another history
   */
  accept(history: string): Promise<void> {
    return this.#turns.run(async () => {
      const held = this.#held;
      if (!held) throw new Refusal("precondition", "no history waits to be accepted", { reason: "NO_HISTORY_HELD" });
      if (held.cursor.history !== history) {
        const text = `history ${history} is not the one that waits to be accepted: that is ${held.cursor.history}`;
        throw new Refusal("precondition", text, { reason: "OTHER_HISTORY_HELD" });
      }
      await this.#enforce(held);
    });
  }

  /** Puts into force what is held and was accepted, where that failed when the word came. */
  enforceAccepted(): Promise<void> {
    return this.#turns.run(async () => {
      if (this.#held && this.#isAccepted(this.#held)) await this.#enforce(this.#held);
    });
  }

  /**
   * Applies all that one revision changed, to what is held if something is.
   * @returns false when the revision is not newer than the ledger's: nothing was changed
   */
  applyDelta(revision: bigint, items: readonly DesiredItem[]): Promise<boolean> {
    return this.#turns.run(() => this.#apply(revision, items));
  }

  async #apply(revision: bigint, items: readonly DesiredItem[]): Promise<boolean> {
    const held = this.#held;
    const place = held ?? this.#inForce;
    if (revision <= place.cursor.revision) {
      this.#log.warn("ledger-refused-older-revision", {
        revision: `${revision}`,
        at: `${place.cursor.revision}`,
      });
      const found = items.flatMap((item) => {
        const kept = this.#contradicted(place, item);
        return kept ? [contradictionOf(kept, item)] : [];
      });
      const next = withFound(this.#contradictions, found);
      await this.#disk.write(this.#contradictionsChange(next));
      this.#contradict(next);
      return false;
    }
    const next = { set: place.set, cursor: { history: place.cursor.history, revision } };
    const left = withoutHealed(this.#contradictions, items);
    await this.#disk.write([
      ...items.map((item) => place.set.change(item)),
      cursorChange(held ? "held" : "cursor", next),
      ...this.#contradictionsChange(left),
    ]);
    this.#contradict(left);
    if (!held) {
      this.#inForce = next;
      for (const { kind, id } of items) this.#changed(kind, id);
    } else {
      this.#held = next;
      if (this.#isAccepted(next)) await this.#enforce(next);
      else this.#changed("held-history", next.cursor.history, items);
    }
    return true;
  }

  /** @returns what is known and stays, when an item of the same revision says something else */
  #contradicted(known: Place | undefined, item: DesiredItem): DesiredItem | undefined {
    const before = known?.set.get(item.kind, item.id);
    if (before?.revision !== item.revision || equalBytes(before.value, item.value)) return undefined;
    this.#log.error("ledger-contradicted", { kind: item.kind, id: item.id, revision: `${item.revision}` });
    return before;
  }

  /** Nothing when nothing is new. */
  #contradictionsChange(next: LedgerContradictions | undefined): readonly Change[] {
    if (next === undefined || isSameList(next, this.#contradictions)) return [];
    return [{ table: cursorTable, key: contradictionsKey, value: toBinary(LedgerContradictionsSchema, next) }];
  }

  /** After that was written. */
  #contradict(next: LedgerContradictions | undefined): void {
    if (next === undefined || isSameList(next, this.#contradictions)) return;
    this.#contradictions = next;
    this.#changed("contradictions", this.#inForce.cursor.history);
  }

  /** Whether central's administrators have said in the set itself that it holds. */
  #isAccepted({ set, cursor }: Place): boolean {
    for (const item of set.items("accepted-history"))
      if (this.#decode(item, AcceptedHistorySchema)?.history === cursor.history) return true;
    return false;
  }

  #read<S extends DescMessage>(place: Place, kind: string, id: string, schema: S): MessageShape<S> | undefined {
    const item = place.set.get(kind, id);
    return item && this.#decode(item, schema);
  }

  #decode<S extends DescMessage>(item: DesiredItem, schema: S): MessageShape<S> | undefined {
    try {
      return fromBinary(schema, item.value);
    } catch (error) {
      this.#log.error("ledger-item-undecodable", { kind: item.kind, id: item.id, error });
      return undefined;
    }
  }

  #place(table: string, cursor: Cursor): Place {
    return { set: new ItemSet(this.#disk, table), cursor };
  }

  #stored(key: "cursor" | "held"): Place | undefined {
    const stored = this.#disk.get(cursorTable, key);
    const [revision = "", history = "", table = setTables[0]] = new TextDecoder().decode(stored).split(" ");
    if (!/^\d{1,20}$/.test(revision)) return undefined;
    return this.#place(table, { history, revision: BigInt(revision) });
  }

  #storedContradictions(): LedgerContradictions | undefined {
    try {
      const stored = this.#disk.get(cursorTable, contradictionsKey);
      return stored && fromBinary(LedgerContradictionsSchema, stored);
    } catch (error) {
      this.#log.error("ledger-contradictions-damaged", { error });
      return undefined;
    }
  }

  #countDamaged({ set }: Place): number {
    let damaged = 0;
    for (const key of set.damaged()) {
      damaged++;
      this.#log.error("ledger-item-damaged", { key });
    }
    return damaged;
  }
}

const cursorChange = (key: "cursor" | "held", { set, cursor }: Place): Change => ({
  table: cursorTable,
  key,
  value: new TextEncoder().encode(`${cursor.revision} ${cursor.history} ${set.table}`),
});
