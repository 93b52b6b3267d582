import type { Clock } from "#lib/clock.ts";
import { noLonger } from "#lib/no-longer.ts";

/** Looks again at least this often, because a wall clock that is set forward makes things due early. */
const lookAgainMs = 60_000;

/** Which keys go away when. Calls `onDue` with those whose time has come; one sleep is under way at a time, whatever their number. */
export class Expiry {
  readonly #clock: Clock;
  readonly #nowMs: () => number;
  readonly #onDue: (keys: readonly string[]) => void;
  readonly #atMs = new Map<string, number>();
  #nextMs = Number.POSITIVE_INFINITY;
  #sleep: AbortController | undefined;

  /** @param nowMs the time that deadlines are in: monotonic for what dies with the process, wall for what outlives it */
  constructor(clock: Clock, nowMs: () => number, onDue: (keys: readonly string[]) => void) {
    this.#clock = clock;
    this.#nowMs = nowMs;
    this.#onDue = onDue;
  }

  /** Sets the key's deadline, or takes it away. */
  set(key: string, atMs: number | undefined): void {
    if (atMs === undefined) {
      this.#atMs.delete(key);
      return;
    }
    this.#atMs.set(key, atMs);
    if (atMs < this.#nextMs) this.#sleepUntil(atMs);
  }

  deadline(key: string): number | undefined {
    return this.#atMs.get(key);
  }

  close(): void {
    this.#sleep?.abort(noLonger);
    this.#atMs.clear();
    this.#nextMs = Number.POSITIVE_INFINITY;
  }

  #sleepUntil(atMs: number): void {
    this.#sleep?.abort(noLonger);
    const sleep = new AbortController();
    this.#sleep = sleep;
    this.#nextMs = atMs;
    const ms = Math.min(Math.max(atMs - this.#nowMs(), 1), lookAgainMs);
    this.#clock.sleep(ms, sleep.signal).then(
      () => this.#wake(),
      () => undefined,
    );
  }

  #wake(): void {
    const now = this.#nowMs();
    const due = [...this.#atMs].filter(([, at]) => at <= now).map(([key]) => key);
    for (const key of due) this.#atMs.delete(key);
    const next = Math.min(Number.POSITIVE_INFINITY, ...this.#atMs.values());
    this.#nextMs = Number.POSITIVE_INFINITY;
    if (Number.isFinite(next)) this.#sleepUntil(next);
    if (due.length > 0) this.#onDue(due);
  }
}
