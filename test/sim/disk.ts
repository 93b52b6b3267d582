import type { Change, Disk } from "#lib/disk.ts";
import { MemoryDisk } from "#lib/memory-disk.ts";
import type { Seeded } from "#lib/seeded.ts";
import type { Life } from "./life.ts";

export interface DiskState {
  /** That one write takes, at most. */
  writeMs: number;
  /** Of writes, which fail because the disk is full. */
  fullShare: number;
}

/** So many writes can be lost at most. */
const writesKept = 100;

/**
 * A disk that outlives its processes. A write is one transaction: when its process dies on the way it is there whole or not at all,
 * and none that was asked for later is there without it.
 */
export class SimDisk {
  #rows = new MemoryDisk();
  #tables = new Set<string>();
  #copies = 0;
  /** What each of the last writes has replaced, oldest first. */
  #replaced: (readonly Change[])[] = [];
  #isTorn = false;
  readonly #random: Seeded;
  readonly #name: string;
  readonly calm: Readonly<DiskState> = { writeMs: 5, fullShare: 0 };
  readonly faults: DiskState = { ...this.calm };
  /** Told of every write that is on it by now, whoever made it. */
  onWrite: (changes: readonly Change[]) => void = () => {};
  /** Hears of a row that nobody deleted. */
  onLoss: (table: string, key: string) => void = () => {};

  /** @param name that no other disk has which its content may come to */
  constructor(random: Seeded, name: string) {
    this.#random = random;
    this.#name = name;
  }

  /** As one life of a process sees it. @throws while its content does not fit together */
  open(life: Life): Disk {
    if (this.#isTorn) throw new Error("MDB_CORRUPTED: Located page was wrong type");
    let tail: Promise<void> = Promise.resolve();
    const waiting: (readonly Change[])[] = [];
    life.onEnd(() => {
      const lasting = this.#random.below(waiting.length + 1);
      for (const changes of waiting.slice(0, lasting)) this.#apply(changes);
    });
    const one = async (changes: readonly Change[]): Promise<void> => {
      waiting.push(changes);
      life.waits();
      await life.after(this.#random.between(0.1, this.faults.writeMs));
      waiting.shift();
      if (this.#random.chance(this.faults.fullShare)) throw new Error("no space left on the disk");
      this.#apply(changes);
      life.waits();
      await life.after(0.05);
    };
    return {
      identity: `${this.#name} ${this.#copies}`,
      get: (table, key) => this.#rows.get(table, key),
      entries: (table, prefix) => this.#rows.entries(table, prefix),
      write: (changes) => {
        const done = tail.then(() => one(changes));
        tail = done.catch(() => undefined);
        return done;
      },
    };
  }

  /** A row of one of these tables is gone, as after a write that the disk took and never made. */
  lose(tables: readonly string[], random: Seeded): void {
    const rows = tables.flatMap((table) => Array.from(this.#rows.entries(table), ([key]) => ({ table, key })));
    if (rows.length === 0) return;
    const { table, key } = random.pick(rows);
    this.#put([{ table, key, value: undefined }]);
    this.onLoss(table, key);
  }

  /** It has said of its last writes that they were flushed, which is found out when its power fails. Nobody may have it open. */
  loseLast(writes: number): void {
    const lost = this.#replaced.splice(Math.max(0, this.#replaced.length - writes));
    for (const former of lost.reverse()) void this.#rows.write(former);
  }

  /** As above, and what is left is of several commits, so that nobody can open it. */
  tear(): void {
    this.#isTorn = true;
  }

  get isTorn(): boolean {
    return this.#isTorn;
  }

  /** What is on it right now, for whoever looks from outside. */
  get present(): Pick<Disk, "get" | "entries"> {
    return this.#rows;
  }

  copy(): readonly Change[] {
    return [...this.#tables].flatMap((table) =>
      Array.from(this.#rows.entries(table), ([key, value]): Change => ({ table, key, value })),
    );
  }

  /** Becomes what the copy holds, on another medium unless it is set back in place. Nobody may have it open. */
  restore(copy: readonly Change[], medium: "another" | "the same" = "another"): void {
    if (medium === "another") this.#copies++;
    this.#rows = new MemoryDisk();
    this.#tables = new Set();
    this.#isTorn = false;
    this.#apply(copy);
    this.#replaced = [];
  }

  #apply(changes: readonly Change[]): void {
    this.#put(changes);
    this.onWrite(changes);
  }

  #put(changes: readonly Change[]): void {
    // Backwards: of a key that is written twice, what was there before comes last.
    const former = changes.map(({ table, key }): Change => ({ table, key, value: this.#rows.get(table, key) }));
    if (this.#replaced.push(former.reverse()) > writesKept) this.#replaced.shift();
    for (const { table } of changes) this.#tables.add(table);
    void this.#rows.write(changes);
  }
}
