// The one reconcile loop: level-triggered by key, one run per key at a time, duplicates merged, back-off on failure.
import type { Clock } from "./clock.ts";
import { linkedSignal } from "./linked-signal.ts";
import type { Log } from "./log.ts";
import { noLonger } from "./no-longer.ts";
import type { Random } from "./random.ts";

/** What a run concludes. A wait says why, in words for people. */
export type Outcome =
  | { readonly kind: "settled"; readonly recheckAfterMs?: number }
  | { readonly kind: "wait"; readonly why: string; readonly recheckAfterMs: number };

export const settled: Outcome = { kind: "settled" };

export const wait = (why: string, recheckAfterMs: number): Outcome => ({ kind: "wait", why, recheckAfterMs });

export interface ReconcilerPorts {
  readonly name: string;
  /** Looks at the world, decides and acts once. A throw is a failure of the world: tried again with back-off. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  /** Told when a run failed, with the error and when it will be tried again. */
  readonly failed: (key: string, error: unknown, retryAfterMs: number) => Promise<void> | void;
  readonly concurrency: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const backoffFirstMs = 1000;
const backoffMaxMs = 60_000;
/** Longest that a failed run is rested from, whatever news there is: a failure that makes news of its own must not spin. */
const restMaxMs = 10_000;

interface KeyState {
  phase: "idle" | "queued" | "running" | "again";
  failures: number;
  /** Monotonic milliseconds. News brings the next run forward, but not to before this: a failure that is itself news must not spin. */
  restUntilMs: number;
  /** Cancels the pending recheck. */
  timer: AbortController | undefined;
}

export class Reconciler {
  readonly #ports: ReconcilerPorts;
  readonly #signal: AbortSignal;
  readonly #keys = new Map<string, KeyState>();
  readonly #queue: string[] = [];
  readonly #running = new Set<Promise<void>>();

  constructor(ports: ReconcilerPorts, signal: AbortSignal) {
    this.#ports = ports;
    this.#signal = signal;
  }

  /** Asks for a run of this key; while one is queued or running, at most one more follows it. */
  enqueue(key: string): void {
    if (this.#signal.aborted) return;
    const state = this.#stateOf(key);
    if (state.phase === "running") state.phase = "again";
    if (state.phase !== "idle") return;
    const restMs = state.restUntilMs - this.#ports.clock.monotonicMs();
    if (restMs > 0) this.#later(key, state, restMs);
    else this.#queueUp(key, state);
  }

  /** Resolves when no run is under way; hand the abort to the signal first. */
  async stopped(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled([...this.#running]);
  }

  #queueUp(key: string, state: KeyState): void {
    state.timer?.abort(noLonger);
    state.timer = undefined;
    state.phase = "queued";
    this.#queue.push(key);
    this.#fill();
  }

  #stateOf(key: string): KeyState {
    const known = this.#keys.get(key);
    if (known) return known;
    const fresh: KeyState = { phase: "idle", failures: 0, restUntilMs: 0, timer: undefined };
    this.#keys.set(key, fresh);
    return fresh;
  }

  #fill(): void {
    while (this.#running.size < this.#ports.concurrency && !this.#signal.aborted) {
      const key = this.#queue.shift();
      if (key === undefined) return;
      const run = this.#run(key).finally(() => {
        this.#running.delete(run);
        this.#fill();
      });
      this.#running.add(run);
    }
  }

  async #run(key: string): Promise<void> {
    const state = this.#stateOf(key);
    state.phase = "running";
    const recheckMs = await this.#once(key, state);
    const again = (state.phase as KeyState["phase"]) === "again";
    state.phase = "idle";
    if (again) this.enqueue(key);
    else if (recheckMs !== undefined) this.#later(key, state, recheckMs);
    else if (state.failures === 0) this.#keys.delete(key);
  }

  async #once(key: string, state: KeyState): Promise<number | undefined> {
    const { reconcile, failed, clock, log, name } = this.#ports;
    try {
      const outcome = await reconcile(key, this.#signal);
      state.failures = 0;
      state.restUntilMs = 0;
      return outcome.recheckAfterMs;
    } catch (error) {
      if (this.#signal.aborted) return undefined;
      const delayMs = this.#backoffMs(state.failures++);
      log.warn("reconcile-failed", { name, key, error, retryAfterMs: delayMs });
      try {
        await failed(key, error, delayMs);
      } catch (e) {
        log.error("reconcile-report-failed", { name, key, error: e });
      }
      state.restUntilMs = clock.monotonicMs() + Math.min(delayMs, restMaxMs);
      return delayMs;
    }
  }

  #backoffMs(failures: number): number {
    const ceiling = Math.min(backoffMaxMs, backoffFirstMs * 2 ** Math.min(failures, 10));
    return Math.round(ceiling / 2 + this.#ports.random.below(Math.max(1, Math.round(ceiling / 2))));
  }

  #later(key: string, state: KeyState, ms: number): void {
    state.timer?.abort(noLonger);
    const timer = new AbortController();
    const either = linkedSignal(timer.signal, this.#signal);
    state.timer = timer;
    this.#ports.clock
      .sleep(ms, either.signal)
      .then(
        () => {
          if (state.timer === timer && state.phase === "idle") this.#queueUp(key, state);
        },
        () => {},
      )
      .finally(() => either.unlink());
  }
}
