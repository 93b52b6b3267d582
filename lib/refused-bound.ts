/** Calls that are written down of one source, and of all, within a time. */
export interface RefusedBounds {
  readonly windowMs: number;
  readonly source: number;
  readonly all: number;
}

/**
 * How many calls of people who had no right to them are written down: somebody who may nothing must not be able to fill the records
 * until the old ones have to give way.
 */
export class RefusedBound {
  readonly #bounds: RefusedBounds;
  readonly #counts = new Map<string, number>();
  #all = 0;
  #leftOut = 0;
  #sinceMs = Number.NEGATIVE_INFINITY;

  constructor(bounds: RefusedBounds) {
    this.#bounds = bounds;
  }

  /** @param source address, or the user where it is known @param nowMs monotonic */
  admits(source: string, nowMs: number): boolean {
    const { windowMs, source: ofOne, all } = this.#bounds;
    if (nowMs - this.#sinceMs >= windowMs) {
      this.#sinceMs = nowMs;
      this.#counts.clear();
      this.#all = 0;
    }
    const count = this.#counts.get(source) ?? 0;
    if (count >= ofOne || this.#all >= all) {
      this.#leftOut++;
      return false;
    }
    this.#counts.set(source, count + 1);
    this.#all++;
    return true;
  }

  /** Calls that were left out since this was asked last. */
  takeLeftOut(): number {
    const count = this.#leftOut;
    this.#leftOut = 0;
    return count;
  }
}
