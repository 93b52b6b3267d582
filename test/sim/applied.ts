// Invariant 6 at an agent: what it has applied of each thing, by what is on its disk.
import { fromBinary } from "@bufbuild/protobuf";
import { DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Change } from "#lib/disk.ts";
import type { Judge } from "./judge.ts";

interface InForce {
  readonly history: string;
  readonly revision: bigint;
  /** That holds the set. */
  readonly table: string;
}

/** How far a thing has come: to the revision of its last change, or to the one at which it was found to be deleted. */
interface Applied {
  readonly revision: bigint;
  readonly isDeleted: boolean;
}

const isLedger = (table: string): boolean => /^ledger(-\d)?$/.test(table);

/** What one agent's ledger has in force never goes back to an older revision of a thing, nor to one before its deletion. */
export class AppliedByAgent {
  readonly #partition: string;
  readonly #judge: Judge;
  /** Told of each item that was written, in the bytes that central sent. */
  readonly #onItem: (value: Uint8Array) => void;
  /** Revisions of the rows of each table, by key. */
  readonly #tables = new Map<string, Map<string, bigint>>();
  /** Rows of each table that the disk has lost, by key: they were not deleted. */
  readonly #lost = new Map<string, Set<string>>();
  #inForce: InForce | undefined;
  /** Of the history in force, by key. */
  readonly #applied = new Map<string, Applied>();

  constructor(partition: string, judge: Judge, onItem: (value: Uint8Array) => void) {
    this.#partition = partition;
    this.#judge = judge;
    this.#onItem = onItem;
  }

  /** The disk becomes an older copy of itself, which is about to be written: what that does not know is applied again. */
  onSetBack(): void {
    this.#tables.clear();
    this.#lost.clear();
    this.#applied.clear();
    this.#inForce = undefined;
  }

  onLoss(table: string, key: string): void {
    this.#tables.get(table)?.delete(key);
    this.#lost.set(table, (this.#lost.get(table) ?? new Set()).add(key));
  }

  /** One write is on the disk. */
  onWrite(changes: readonly Change[]): void {
    let next = this.#inForce;
    const touched: Change[] = [];
    for (const change of changes) {
      if (change.table === "ledger-cursor" && change.key === "cursor") next = inForce(change.value);
      if (!isLedger(change.table)) continue;
      this.#note(change);
      touched.push(change);
    }
    // What is written aside is not in force.
    const former = this.#inForce;
    if (next === undefined || next === former) return;
    this.#judge.checked();
    this.#inForce = next;
    if (former?.history !== next.history) this.#applied.clear();
    else if (next.revision < former.revision)
      this.#fail(`the ledger went from revision ${former.revision} back to ${next.revision}`);
    if (former?.history === next.history && former.table === next.table) this.#applyDelta(touched, next);
    else this.#applySet(next);
  }

  #note({ table, key, value }: Change): void {
    const rows = this.#tables.get(table) ?? new Map<string, bigint>();
    this.#tables.set(table, rows);
    this.#lost.get(table)?.delete(key);
    if (value === undefined) rows.delete(key);
    else {
      const item = fromBinary(DesiredItemSchema, value);
      rows.set(key, item.revision);
      this.#onItem(item.value);
    }
  }

  #applyDelta(touched: readonly Change[], { table, revision }: InForce): void {
    for (const change of touched) {
      if (change.table !== table) continue;
      const own = this.#tables.get(table)?.get(change.key);
      if (own === undefined) this.#applied.set(change.key, { revision, isDeleted: true });
      else this.#apply(change.key, own);
    }
  }

  #applySet({ table, revision }: InForce): void {
    const rows = this.#tables.get(table) ?? new Map<string, bigint>();
    for (const [key, { isDeleted }] of this.#applied)
      if (!isDeleted && !rows.has(key) && !this.#lost.get(table)?.has(key))
        this.#applied.set(key, { revision, isDeleted: true });
    for (const [key, own] of rows) this.#apply(key, own);
  }

  #apply(key: string, revision: bigint): void {
    const known = this.#applied.get(key);
    if (known?.isDeleted && revision <= known.revision)
      this.#fail(`${key} of revision ${revision} is back, which was deleted by ${known.revision}`);
    else if (known && revision < known.revision) this.#fail(`${key} went from ${known.revision} back to ${revision}`);
    this.#applied.set(key, { revision, isDeleted: false });
  }

  #fail(what: string): void {
    this.#judge.fail(6, `${this.#partition}: ${what}`);
  }
}

/** `REVISION HISTORY TABLE`, as partition-agent/ledger/ledger.ts writes it. */
function inForce(value: Uint8Array | undefined): InForce | undefined {
  const [revision = "", history = "", table = ""] = new TextDecoder().decode(value).split(" ");
  return value === undefined ? undefined : { revision: BigInt(revision), history, table };
}
