import type { Clock } from "../clock.ts";

/** Longest that a timer of Node can be; a longer one would go off at once. */
const timerMaxMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep,
};

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    if (ms <= 0) return void setImmediate(resolve);
    let timer: NodeJS.Timeout;
    const leave = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const pause = (leftMs: number) => {
      const partMs = Math.min(leftMs, timerMaxMs);
      timer = setTimeout(() => {
        if (leftMs > partMs) return pause(leftMs - partMs);
        signal?.removeEventListener("abort", leave);
        resolve();
      }, partMs);
    };
    pause(ms);
    signal?.addEventListener("abort", leave, { once: true });
  });
}
