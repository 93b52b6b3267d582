import { nowMs } from "./protocol.ts";
import { quantile } from "./text.ts";

export interface Load {
  readonly perSecond: number;
  /** Milliseconds of one call. */
  readonly p50: number;
  readonly p99: number;
}

/** What one process has seen of a load; by the clock that all processes share. */
export interface Run {
  readonly beganMs: number;
  readonly endedMs: number;
  /** Milliseconds of each call. */
  readonly times: readonly number[];
}

/** Makes that many calls, so many at once. @param call is given its number, from 0 */
export async function run(calls: number, inFlight: number, call: (i: number) => Promise<unknown>): Promise<Run> {
  const times: number[] = [];
  let next = 0;
  const beganMs = nowMs();
  const worker = async () => {
    for (let i = next++; i < calls; i = next++) {
      const begun = nowMs();
      await call(i);
      times.push(nowMs() - begun);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return { beganMs, endedMs: nowMs(), times };
}

/** Of runs that went side by side: from the first begin to the last end. */
export function loadOf(runs: readonly Run[]): Load {
  const times = runs.flatMap((one) => one.times);
  const ms = Math.max(...runs.map((one) => one.endedMs)) - Math.min(...runs.map((one) => one.beganMs));
  return { perSecond: times.length / (ms / 1_000), p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}

export const load = async (...asked: Parameters<typeof run>): Promise<Load> => loadOf([await run(...asked)]);
