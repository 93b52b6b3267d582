import { setTimeout as delay } from "node:timers/promises";
import { reasonOf } from "./checks.ts";

/** What has not happened when its deadline passed. */
export class Late extends Error {
  constructor(what: string, deadlineMs: number, now: string) {
    super(`${what}: not within ${Math.round(deadlineMs / 1000)} s${now === "" ? "" : `; now: ${now}`}`);
    this.name = "Late";
  }
}

/**
 * Asks somebody who cannot tell of himself, until the asking does not throw.
 * @throws Late with the last reason
 */
export async function comesTrue<T>(
  what: string,
  deadlineMs: number,
  look: () => Promise<T>,
  { everyMs, signal }: { readonly everyMs: number; readonly signal?: AbortSignal },
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (performance.now() > deadline) throw new Late(what, deadlineMs, reasonOf(error));
    }
    await delay(everyMs, undefined, { signal });
  }
}

/** Wakes whoever waits when something changed. Waiting asks again at every change, never after a time. */
export class Changes {
  readonly #waiters = new Set<() => void>();
  #failure: Error | undefined;

  changed(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }

  /** Ends every wait, now and later, with this error: what is waited for cannot come any more. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.changed();
  }

  /**
   * Resolves with the first value that `look` finds.
   * @param want what is waited for, in words; `now` tells how things stand when it does not come
   */
  until<T>(
    want: { readonly what: string; readonly deadlineMs: number; readonly now?: () => string },
    look: () => T | undefined,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (finish: () => void): void => {
        clearTimeout(timer);
        this.#waiters.delete(ask);
        finish();
      };
      const ask = (): void => {
        try {
          if (this.#failure !== undefined) throw this.#failure;
          const found = look();
          if (found !== undefined) end(() => resolve(found));
        } catch (error) {
          end(() => reject(error));
        }
      };
      const timer = setTimeout(
        () => end(() => reject(new Late(want.what, want.deadlineMs, want.now?.() ?? ""))),
        want.deadlineMs,
      );
      this.#waiters.add(ask);
      ask();
    });
  }
}
