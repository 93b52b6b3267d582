import { readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";

/** So much a burst of commits may be ahead of the mark when the process is killed: an older copy from within is not noticed. */
const behindMs = 1_000;

export interface Mark {
  readonly history: string;
  readonly revision: bigint;
}

/**
 * How far the embedded store has come, beside its file: the file may be overwritten in place by an older copy of itself, and then
 * still be the file that it was. Written after the commit that it tells of, so it is never ahead of a store that nobody has set back.
 */
export class HighWater {
  readonly #file: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #stop = new AbortController();
  #isDue = false;

  constructor(folder: string, { clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#file = path.join(folder, "high-water");
    this.#clock = clock;
    this.#log = log;
  }

  /** Whether a store that is here now has been further, or was made anew since. One without a mark has not. */
  isAbove({ history, revision }: Mark): boolean {
    const mark = this.#read();
    return mark !== undefined && (mark.history !== history || mark.revision > revision);
  }

  /** @param now asked when it is written */
  write(now: () => Mark): void {
    try {
      const { history, revision } = now();
      writeFileSync(`${this.#file}.new`, `${history} ${revision}\n`, { mode: 0o600 });
      renameSync(`${this.#file}.new`, this.#file);
    } catch (error) {
      this.#log.warn("high-water-not-written", { file: this.#file, error });
    }
  }

  /** After a while, once for all that came until then. */
  writeSoon(now: () => Mark): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#clock.sleep(behindMs, this.#stop.signal).then(
      () => {
        this.#isDue = false;
        this.write(now);
      },
      () => {},
    );
  }

  close(): void {
    this.#stop.abort();
  }

  #read(): Mark | undefined {
    try {
      const [, history, revision] = /^(\S+) (\d+)\n$/.exec(readFileSync(this.#file, "utf8")) ?? [];
      return history === undefined || revision === undefined ? undefined : { history, revision: BigInt(revision) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      return undefined;
    }
  }
}
