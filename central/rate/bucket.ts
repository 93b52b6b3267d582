/** How often somebody may do a thing: `burst` times at once, `perSecond` in the long run. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** What is left after one more, or how long until there is one. */
export type Taken = { readonly ok: true; readonly fullAtMs: number } | { readonly ok: false; readonly waitMs: number };

/**
 * Takes one out of a token bucket. All that a bucket is, is the time at which it will be full again: who takes one puts that off by the
 * time in which one comes back, and what would put it off beyond the time for a whole burst is not there to be taken.
 * @param fullAtMs undefined or past: it is full
 * @param nowMs monotonic
 */
export function takeOne({ perSecond, burst }: Rate, fullAtMs: number | undefined, nowMs: number): Taken {
  const oneMs = 1_000 / perSecond;
  const untilFullMs = Math.max((fullAtMs ?? nowMs) - nowMs, 0);
  const waitMs = untilFullMs - (burst - 1) * oneMs;
  return waitMs > 0 ? { ok: false, waitMs } : { ok: true, fullAtMs: nowMs + untilFullMs + oneMs };
}
