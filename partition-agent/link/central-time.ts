// What central's clock shows, which may differ from the agent's: the deadlines of central's orders are of that clock. It is never known
// exactly, but between two bounds: central said a time after it was asked and before its answer came.
import type { Clock } from "#lib/clock.ts";

/** In wall-clock milliseconds of central. */
export interface TimeSpan {
  readonly earliestMs: number;
  readonly latestMs: number;
}

/** By both clocks of the agent. */
export interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export interface Heard extends TimeSpan {
  /** When this was so. */
  readonly at: Moment;
}

/** Nothing was heard of central's clock yet. */
export const anyTime: TimeSpan = { earliestMs: Number.NEGATIVE_INFINITY, latestMs: Number.POSITIVE_INFINITY };
/** By a clock that is at hand. */
export const exactly = (ms: number): TimeSpan => ({ earliestMs: ms, latestMs: ms });
/** By how much two clocks that nobody sets may go apart: 0.5 s in a quarter of an hour, ten times what is usual. */
const driftShare = 1 / 2_000;
/** Who waits for it to be known better is told when it is by so much. */
const tellMs = 1_000;

/** Where central's clock is now, of what was heard. */
export function spanAt({ earliestMs, latestMs, at }: Heard, now: Moment): TimeSpan {
  const passedMs = now.monotonicMs - at.monotonicMs;
  // The monotonic clock stands still while a virtual machine does. If the other one goes ahead of it, either this was so, or it was set.
  const atMostMs = Math.max(passedMs, now.wallMs - at.wallMs);
  return { earliestMs: earliestMs + passedMs * (1 - driftShare), latestMs: latestMs + atMostMs * (1 + driftShare) };
}

/**
 * Central said what time it was.
 * @param saidMs by its clock
 * @param asked before it said so
 * @param now after it said so
 */
export function hear(known: Heard | undefined, saidMs: number, asked: Moment, now: Moment): Heard {
  const { latestMs } = spanAt({ ...exactly(saidMs), at: asked }, now);
  const before = known ? spanAt(known, now) : anyTime;
  const both = { earliestMs: Math.max(before.earliestMs, saidMs), latestMs: Math.min(before.latestMs, latestMs) };
  // Both cannot be true: central's clock was set, and what it says now counts.
  if (both.earliestMs > both.latestMs) return { earliestMs: saidMs, latestMs, at: now };
  return { ...both, at: now };
}

export class CentralTime {
  readonly #clock: Clock;
  readonly #clearer: () => void;
  #heard: Heard | undefined;

  /** @param clearer called when the time is known, or known better by a second */
  constructor(clock: Clock, clearer: () => void) {
    this.#clock = clock;
    this.#clearer = clearer;
  }

  /** To be kept before central is asked something. */
  get moment(): Moment {
    return { monotonicMs: this.#clock.monotonicMs(), wallMs: this.#clock.wallMs() };
  }

  get span(): TimeSpan {
    return this.#heard ? spanAt(this.#heard, this.moment) : anyTime;
  }

  /** @param saidMs what central's clock showed; undefined when it did not say */
  said(saidMs: number | undefined, asked: Moment): void {
    if (saidMs === undefined) return;
    const before = this.span;
    this.#heard = hear(this.#heard, saidMs, asked, this.moment);
    if (widthMs(before) - widthMs(this.#heard) > tellMs) this.#clearer();
  }
}

const widthMs = ({ earliestMs, latestMs }: TimeSpan): number => latestMs - earliestMs;
