import type { Clock } from "./clock.ts";
import { linkedSignal } from "./linked-signal.ts";
import { noLonger } from "./no-longer.ts";

/**
 * Wakes whoever waits: a ring ends every wait that has begun. Nothing is kept for those who come later, so look for work
 * first and wait in the same turn of the event loop.
 */
export class Bell {
  readonly #waiting = new Set<() => void>();

  ring(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /**
   * Resolves at the next ring at which it is so, or when the signal aborts: ask the signal which it was. Many can wait for something of
   * their own: a ring that does not concern them costs one call each.
   */
  wait(signal: AbortSignal, isSo: () => boolean = () => true): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const wake = () => {
        if (!signal.aborted && !isSo()) return;
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }
}

/** Resolves at the next ring, after the time, or when the signal aborts. */
export async function rung(bell: Bell, clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  const over = linkedSignal(signal);
  const end = () => over.abort(noLonger);
  clock.sleep(ms, over.signal).then(end, () => undefined);
  await bell.wait(over.signal);
  end();
  over.unlink();
}
