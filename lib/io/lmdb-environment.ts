import { mkdirSync } from "node:fs";
import path from "node:path";
import { setImmediate } from "node:timers/promises";
import { type Database, type Key, open, type RootDatabase } from "lmdb";
import { bug } from "../bug.ts";
import { reasonOf } from "../reason-of.ts";
import { LmdbRoom } from "./lmdb-room.ts";

interface Options {
  /** Made with mode 0700 if it is not there. */
  readonly folder: string;
  /** Of the tables whose values are not bytes. */
  readonly encodings?: Readonly<Record<string, "ordered-binary" | "string">>;
  /** Of address space, and so of data. */
  readonly mapBytes?: number;
  /**
   * No write reads anything. Then LMDB's own thread carries them out, without coming back into this one for each commit and letting that
   * one wait meanwhile.
   */
  readonly isBlind?: boolean;
}

/** Not in the package's types. `getStats` asks for more, which takes several times as long, and this is asked before each commit. */
interface Inside {
  readonly env: { info(): { readonly lastPageNumber?: unknown } };
}

/** Of room that writes with one commit may need, so that many that come at once do not make the file much longer. */
const sharedBytesMax = 16 * 2 ** 20;

/** What is written all or nothing. */
interface Write {
  /** The most bytes that it makes the file longer by (`roomOf`). */
  readonly bytes: number;
  /** They are made if they are not there. */
  readonly tables: readonly string[];
}

interface Job extends Write {
  readonly work: () => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

type Outcome = { readonly result: unknown } | { readonly error: unknown };

/**
 * One LMDB environment, on a disk that may be full or fail: then the write is rejected with the reason, nothing of it is there, and reads
 * go on. Only one commit is under way at a time, what is asked for meanwhile shares the next one: LMDB never answers those that come
 * after one that failed badly, so the environment is opened anew before them.
 */
export class LmdbEnvironment {
  readonly file: string;
  readonly #options: Required<Options>;
  readonly #room: LmdbRoom;
  readonly #tables = new Map<string, Database<unknown, Key>>();
  readonly #jobs: Job[] = [];
  #root: RootDatabase<Buffer, string>;
  readonly #pageBytes: number;
  #isFailed = false;
  #isClosed = false;
  #running: Promise<void> | undefined;

  constructor({ folder, encodings = {}, mapBytes = 16 * 2 ** 30, isBlind = false }: Options) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.file = path.join(folder, "data.mdb");
    this.#options = { folder, encodings, mapBytes, isBlind };
    this.#room = new LmdbRoom(this.file, mapBytes);
    this.#root = this.#open();
    const { pageSize } = this.#root.getStats() as Record<string, unknown>;
    this.#pageBytes = typeof pageSize === "number" ? pageSize : bug("LMDB does not say how long its pages are");
  }

  /** @returns undefined when nothing was ever written to it. The types are those that it is written with. */
  table<V = Buffer, K extends Key = string>(name: string): Database<V, K> | undefined {
    return this.#tables.get(name) as Database<V, K> | undefined;
  }

  /** Before the first `write` only. */
  writeNow<T>({ bytes, tables }: Write, work: () => T): T {
    const lack = this.#room.lacks(this.#usedBytes(), bytes);
    if (lack !== undefined) {
      void this.close();
      throw this.#failure(lack);
    }
    this.#make(tables);
    return this.#root.transactionSync(work);
  }

  /** Durable when it resolves; in the order of the calls. @param work throws before it writes anything, if it throws */
  write<T>(write: Write, work: () => T): Promise<T> {
    if (this.#isClosed) return Promise.reject(this.#failure("it is closed"));
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push({ ...write, work, resolve: resolve as Job["resolve"], reject });
      this.#running ??= this.#run();
    });
  }

  /** What follows in this turn of the event loop reads all that has been committed; else what had been when the turn began. */
  refresh(): void {
    this.#root.resetReadTxn();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
    await this.#root.close();
  }

  async #run(): Promise<void> {
    await setImmediate(); // so that what is asked for in one turn of the event loop shares a commit
    while (this.#jobs.length > 0) {
      try {
        if (this.#isFailed) await this.#reopen();
        await this.#commit(this.#takeWhatFits());
      } catch (error) {
        this.#jobs.shift()?.reject(this.#failure(error)); // the others have their turn
      }
    }
    this.#running = undefined;
  }

  /** @throws when there is no room for the first one */
  #takeWhatFits(): readonly Job[] {
    const used = this.#usedBytes();
    let [count, bytes] = [0, 0];
    for (const job of this.#jobs) {
      bytes += job.bytes;
      if (count > 0 && bytes > sharedBytesMax) break;
      const lack = this.#room.lacks(used, bytes);
      if (lack !== undefined && count === 0) throw lack;
      if (lack !== undefined) break;
      count++;
    }
    return this.#jobs.splice(0, count);
  }

  async #commit(jobs: readonly Job[]): Promise<void> {
    try {
      this.#make(jobs.flatMap(({ tables }) => tables));
      settle(jobs, await this.#outcomes(jobs));
    } catch (error) {
      const failure = this.#failure(await causeOf(error));
      this.#isFailed = true;
      await this.#reopen().catch(() => undefined); // the next write tries again
      for (const { reject } of jobs) reject(failure);
    }
  }

  async #outcomes(jobs: readonly Job[]): Promise<readonly Outcome[]> {
    if (!this.#options.isBlind) return await this.#root.transaction(() => jobs.map(outcomeOf));
    let outcomes: readonly Outcome[] = [];
    await this.#root.batch(() => {
      outcomes = jobs.map(outcomeOf);
    });
    return outcomes;
  }

  async #reopen(): Promise<void> {
    await this.#root.close();
    this.#root = this.#open();
    this.#isFailed = false;
  }

  #open(): RootDatabase<Buffer, string> {
    const root = open<Buffer, string>({
      path: this.#options.folder,
      encoding: "binary",
      overlappingSync: false, // a commit resolves, and is seen by readers, when it is on disk
      eventTurnBatching: false, // it makes a promise that nobody has, and that a failed commit rejects
      maxDbs: 32,
      mapSize: this.#options.mapBytes,
    });
    this.#tables.clear();
    for (const name of [...root.getKeys()]) this.#tables.set(name, this.#openTable(root, name));
    return root;
  }

  /** While no commit is under way: it is a commit of its own. */
  #make(tables: readonly string[]): void {
    for (const name of tables) if (!this.#tables.has(name)) this.#tables.set(name, this.#openTable(this.#root, name));
  }

  #openTable(root: RootDatabase<Buffer, string>, name: string): Database<unknown, Key> {
    return root.openDB<unknown, Key>({ name, encoding: this.#options.encodings[name] ?? "binary" });
  }

  #usedBytes(): number {
    const { lastPageNumber } = (this.#root as unknown as Inside).env.info();
    if (typeof lastPageNumber !== "number") bug("LMDB does not say how long its data is");
    return (lastPageNumber + 1) * this.#pageBytes;
  }

  #failure(cause: unknown): Error {
    return new Error(`${this.file} cannot be written: ${reasonOf(cause)}`);
  }
}

function outcomeOf({ work }: Job): Outcome {
  try {
    return { result: work() };
  } catch (error) {
    return { error };
  }
}

function settle(jobs: readonly Job[], outcomes: readonly Outcome[]): void {
  for (const [i, { resolve, reject }] of jobs.entries()) {
    const outcome = outcomes[i]!;
    if ("error" in outcome) reject(outcome.error);
    else resolve(outcome.result);
  }
}

/** LMDB rejects with one error for all, and has the cause in a promise, which is its caller's to handle and may never settle. */
async function causeOf(error: unknown): Promise<unknown> {
  const cause = (error as { commitError?: Promise<never> }).commitError;
  if (cause === undefined) return error;
  return Promise.race([cause.catch((reason: unknown) => reason), setImmediate(error)]);
}
