import type { Clock } from "./clock.ts";
import { linkedSignal } from "./linked-signal.ts";
import { noLonger } from "./no-longer.ts";

/**
 * Runs `work` with a signal that aborts when `signal` does, or after `ms`.
 * @param what named in the error: `${what} took longer than ${ms} ms`
 */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  what: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const done = new AbortController();
  const either = linkedSignal(signal);
  // Made when it is needed: its stack takes longer than all the rest of what ends in time.
  let late: Error | undefined;
  clock.sleep(ms, done.signal).then(
    () => {
      late = new Error(`${what} took longer than ${ms} ms`);
      either.abort(late);
    },
    () => {},
  );
  try {
    return await work(either.signal);
  } catch (cause) {
    throw late !== undefined && either.signal.reason === late ? late : cause;
  } finally {
    done.abort(noLonger);
    either.unlink();
  }
}
