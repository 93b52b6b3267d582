import type { Clock } from "#lib/clock.ts";
import type { Time } from "./time.ts";

/** Wall-clock milliseconds at which every run begins. */
export const beginMs = Date.UTC(2026, 0, 1);

/**
 * One life of one process. When it has ended, nothing that it waited for ever comes: it stops wherever it was, as a process does
 * that is killed. Only waiting for the world is a place to stop at; what runs without waiting runs to its end.
 */
export class Life implements Clock {
  readonly name: string;
  readonly #time: Time;
  readonly #bornMs: number;
  readonly #skewMs: () => number;
  readonly #mourners = new Set<() => void>();
  #isAlive = true;
  #pausedUntilMs = 0;
  #doom: { isBegun: boolean; waits: number; readonly strike: () => void } | undefined;

  /** @param skewMs how far its wall clock is off right now */
  constructor(name: string, time: Time, skewMs: () => number = () => 0) {
    this.name = name;
    this.#time = time;
    this.#bornMs = time.nowMs;
    this.#skewMs = skewMs;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  monotonicMs(): number {
    return Math.floor(this.#time.nowMs - this.#bornMs);
  }

  wallMs(): number {
    return Math.floor(beginMs + this.#time.nowMs + this.#skewMs());
  }

  end(): void {
    this.#isAlive = false;
    for (const mourn of [...this.#mourners]) mourn();
    this.#mourners.clear();
  }

  /** From now on nothing reaches it until then; afterwards everything at once. */
  pause(ms: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#time.nowMs + ms);
  }

  /** When something has happened in it, it waits so often for the world, and is struck in the next wait. @returns what takes it back */
  doom(waits: number, strike: () => void): () => void {
    const doom = { isBegun: false, waits, strike };
    this.#doom = doom;
    return () => {
      if (this.#doom === doom) this.#doom = undefined;
    };
  }

  /** Something happens: it has said so, or was called. */
  acts(): void {
    if (this.#doom) this.#doom.isBegun = true;
  }

  /** It begins to wait for a disk, a store, a message or a device. */
  waits(): void {
    const doom = this.#doom;
    if (!doom?.isBegun || doom.waits-- > 0) return;
    this.#doom = undefined;
    this.#time.after(0, () => this.#isAlive && doom.strike());
  }

  /** Told when it ends. @returns what takes it back */
  onEnd(mourn: () => void): () => void {
    this.#mourners.add(mourn);
    return () => this.#mourners.delete(mourn);
  }

  /** Runs after the time if it still lives, later if it is paused. @returns what takes it back */
  later(ms: number, run: () => void): () => void {
    let cancel = this.#time.after(ms, () => {
      if (!this.#isAlive) return;
      const leftMs = this.#pausedUntilMs - this.#time.nowMs;
      if (leftMs > 0) cancel = this.later(leftMs, run);
      else run();
    });
    return () => cancel();
  }

  after(ms: number): Promise<void> {
    return new Promise((resolve) => void this.later(ms, resolve));
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const cancel = this.later(ms, () => {
        signal?.removeEventListener("abort", stop);
        resolve();
      });
      const stop = () => {
        cancel();
        if (this.#isAlive) reject(signal?.reason);
      };
      signal?.addEventListener("abort", stop, { once: true });
    });
  }

  /** What another gives, as far as this one lives to hear it. */
  hears<T>(from: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      from.then(
        (value) => this.#isAlive && resolve(value),
        (error: unknown) => this.#isAlive && reject(error),
      );
    });
  }
}
