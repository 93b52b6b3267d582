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
  const error = new Error(`${what} took longer than ${ms} ms`);
  clock.sleep(ms, done.signal).then(
    () => either.abort(error),
    () => {},
  );
  try {
    return await work(either.signal);
  } catch (cause) {
    throw either.signal.reason === error ? error : cause;
  } finally {
    done.abort(noLonger);
    either.unlink();
  }
}
