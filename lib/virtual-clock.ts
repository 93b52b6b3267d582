import type { Clock } from "./clock.ts";

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** A clock that stands until `advance`, for tests and the simulator. Both of its times begin together and move together. */
export class VirtualClock implements Clock {
  readonly #startMs: number;
  readonly #sleepers = new Set<Sleeper>();
  #elapsedMs = 0;

  /** @param startMs wall time at the beginning */
  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#startMs = startMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  wallMs(): number {
    return this.#startMs + this.#elapsedMs;
  }

  /** When the next sleeper wakes, in monotonic milliseconds; undefined when none sleeps. */
  get nextMs(): number | undefined {
    return this.#next()?.atMs;
  }

  /** Moves time on and wakes who is due, in order of time. What they do next runs when the caller awaits. */
  advance(ms: number): void {
    const until = this.#elapsedMs + ms;
    for (let next = this.#next(); next !== undefined && next.atMs <= until; next = this.#next()) {
      this.#elapsedMs = Math.max(this.#elapsedMs, next.atMs);
      this.#sleepers.delete(next);
      next.wake();
    }
    this.#elapsedMs = until;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason);
      };
      const wake = () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      };
      const sleeper = { atMs: this.#elapsedMs + Math.max(ms, 0), wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  #next(): Sleeper | undefined {
    let next: Sleeper | undefined;
    for (const sleeper of this.#sleepers) if (next === undefined || sleeper.atMs < next.atMs) next = sleeper;
    return next;
  }
}
