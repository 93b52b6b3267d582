import { nowMs } from "./protocol.ts";
import { quantile } from "./text.ts";

export interface Load {
  readonly perSecond: number;
  /** Milliseconds of one call. */
  readonly p50: number;
  readonly p99: number;
}

/** Makes that many calls, so many at once. @param call is given its number, from 0 */
export async function load(calls: number, inFlight: number, call: (i: number) => Promise<unknown>): Promise<Load> {
  const times: number[] = [];
  let next = 0;
  const begin = nowMs();
  const worker = async () => {
    for (let i = next++; i < calls; i = next++) {
      const begun = nowMs();
      await call(i);
      times.push(nowMs() - begun);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  const perSecond = calls / ((nowMs() - begin) / 1_000);
  return { perSecond, p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}
