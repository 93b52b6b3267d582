import type { Seeded } from "#lib/seeded.ts";

interface Due {
  readonly atMs: number;
  /** Who comes first of those that are due at once is chance, then age. */
  readonly order: number;
  readonly age: number;
  run: (() => void) | undefined;
}

const isBefore = (a: Due, b: Due): boolean =>
  a.atMs !== b.atMs ? a.atMs < b.atMs : a.order !== b.order ? a.order < b.order : a.age < b.age;

/** Virtual time: stands while anything runs, then jumps to what is due next. Nothing in a run may wait for anything else. */
export class Time {
  readonly #random: Seeded;
  readonly #heap: Due[] = [];
  readonly #turns = new Turns();
  #nowMs = 0;
  #age = 0;
  events = 0;

  constructor(random: Seeded) {
    this.#random = random;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** @returns what takes it back */
  after(ms: number, run: () => void): () => void {
    const due: Due = { atMs: this.#nowMs + Math.max(0, ms), order: this.#random.next(), age: this.#age++, run };
    this.#push(due);
    return () => {
      due.run = undefined;
    };
  }

  /** Runs what is due until the time has come, draining everything in between. */
  async runUntil(untilMs: number, afterEach: () => void, isOver: () => boolean = () => false): Promise<void> {
    await this.#turns.drained();
    while (!isOver()) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#pop();
      if (next.run === undefined) continue;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      this.events++;
      next.run();
      await this.#turns.drained();
      afterEach();
    }
    if (!isOver()) this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  #push(due: Due): void {
    const heap = this.#heap;
    let at = heap.push(due) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(due, heap[above]!)) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = due;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= heap.length) break;
      const right = left + 1;
      const least = right < heap.length && isBefore(heap[right]!, heap[left]!) ? right : left;
      if (!isBefore(heap[least]!, last)) break;
      heap[at] = heap[least]!;
      at = least;
    }
    heap[at] = last;
  }
}

/** Promises and ticks come before the next immediate; many of those share one turn of the event loop, which takes as long as an event. */
const immediatesATurn = 64;

/** Waits until everything has run that needs no time. */
class Turns {
  readonly #waiting: (() => void)[] = [];
  #immediates = 0;

  drained(): Promise<void> {
    if (this.#immediates === this.#waiting.length)
      for (let i = 0; i < immediatesATurn; i++, this.#immediates++) setImmediate(this.#next);
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  readonly #next = (): void => {
    this.#immediates--;
    this.#waiting.shift()?.();
  };
}
