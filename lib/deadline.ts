import type { Clock } from "./clock.ts";

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
  const late = new AbortController();
  const done = new AbortController();
  const error = new Error(`${what} took longer than ${ms} ms`);
  clock.sleep(ms, done.signal).then(
    () => late.abort(error),
    () => {},
  );
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } catch (cause) {
    throw late.signal.aborted ? error : cause;
  } finally {
    done.abort();
  }
}
