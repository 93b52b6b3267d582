import { type Rate, takeOne } from "./bucket.ts";

/** One bucket for each key. Of more than `keysMax`, those that were taken from longest ago are forgotten, and are full again. */
export class Buckets {
  readonly #rate: Rate;
  readonly #keysMax: number;
  /** When each is full again; the one that was taken from last is the last. */
  readonly #fullAtMs = new Map<string, number>();

  constructor(rate: Rate, keysMax: number) {
    this.#rate = rate;
    this.#keysMax = keysMax;
  }

  get size(): number {
    return this.#fullAtMs.size;
  }

  /** @returns 0 when one was taken, else how long until there is one, in milliseconds */
  take(key: string, nowMs: number): number {
    const taken = takeOne(this.#rate, this.#fullAtMs.get(key), nowMs);
    if (!taken.ok) return taken.waitMs;
    this.#fullAtMs.delete(key);
    this.#fullAtMs.set(key, taken.fullAtMs);
    for (const oldest of this.#fullAtMs.keys()) {
      if (this.#fullAtMs.size <= this.#keysMax) break;
      this.#fullAtMs.delete(oldest);
    }
    return 0;
  }
}
