// Commits that are stored, and whose callers wait until reads show them. Many wait at once and for a moment only, so they share one timer.
import type { Clock } from "#lib/clock.ts";

interface Waiting {
  readonly revision: bigint;
  readonly untilMs: number;
  readonly settle: (isReached: boolean) => void;
}

export class AwaitedRevisions {
  readonly #clock: Clock;
  readonly #waitMs: number;
  /** In the order in which their time is over. */
  #waiting: Waiting[] = [];
  #isTimed = false;

  /** @param waitMs how long at most */
  constructor(clock: Clock, waitMs: number) {
    this.#clock = clock;
    this.#waitMs = waitMs;
  }

  /** @returns whether reads came to it in time; no when the signal aborts */
  reached(revision: bigint, signal: AbortSignal): Promise<boolean> {
    return new Promise((settle) => {
      if (signal.aborted) return settle(false);
      this.#waiting.push({ revision, untilMs: this.#clock.monotonicMs() + this.#waitMs, settle });
      if (!this.#isTimed) void this.#time(signal);
    });
  }

  /** Reads show everything up to this revision. */
  rise(to: bigint): void {
    this.#settle(true, ({ revision }) => revision <= to);
  }

  async #time(signal: AbortSignal): Promise<void> {
    this.#isTimed = true;
    for (let next = this.#waiting[0]; next !== undefined && !signal.aborted; next = this.#waiting[0]) {
      await this.#clock.sleep(next.untilMs - this.#clock.monotonicMs(), signal).catch(() => undefined);
      const nowMs = this.#clock.monotonicMs();
      this.#settle(false, ({ untilMs }) => untilMs <= nowMs || signal.aborted);
    }
    this.#isTimed = false;
  }

  #settle(isReached: boolean, whom: (one: Waiting) => boolean): void {
    const left: Waiting[] = [];
    for (const one of this.#waiting) {
      if (whom(one)) one.settle(isReached);
      else left.push(one);
    }
    this.#waiting = left;
  }
}
