import { Code, ConnectError } from "@connectrpc/connect";
import type { Clock } from "#lib/clock.ts";
import type { Random } from "#lib/random.ts";

/** Answers after which asking again is pointless. All else, a dead connection above all, may pass. */
const refusals: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.PermissionDenied,
  Code.FailedPrecondition,
  Code.OutOfRange,
  Code.Unimplemented,
  Code.Unauthenticated,
]);

export const isRefused = (error: unknown): boolean => error instanceof ConnectError && refusals.has(error.code);

const firstPauseMs = 250;
const pauseMaxMs = 10_000;

/** Doubles from 0.25 s to 10 s, each time up to half longer, so that a rack does not knock in step. */
export function pauseMs(attempt: number, random: Random): number {
  const pause = Math.min(pauseMaxMs, firstPauseMs * 2 ** Math.min(attempt, 10));
  return pause + random.below(Math.ceil(pause / 2));
}

export interface Persistence {
  readonly clock: Clock;
  readonly random: Random;
  /** Told once, when the first try fails. */
  readonly onTrouble?: (error: unknown) => void;
  readonly signal?: AbortSignal;
}

/** Calls until it succeeds or is refused: the agent may be down at any time, and every call of ours may be repeated. */
export async function persistently<T>(p: Persistence, call: () => Promise<T>, gaveUp = isRefused): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (gaveUp(error)) throw error;
      if (attempt === 0) p.onTrouble?.(error);
      p.signal?.throwIfAborted();
      await p.clock.sleep(pauseMs(attempt, p.random), p.signal);
    }
  }
}
