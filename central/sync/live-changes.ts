import { reasonOf } from "#lib/reason-of.ts";
import { Refusal } from "#lib/refusal.ts";
import type { ChangeBatch } from "../store/cache.ts";
import type { State } from "../store/state.ts";

/**
 * The state's changes for a stream to a caller: subscribed when this returns. Where the state ends a subscription (the store was
 * restored, the caller is too slow), the caller is told to call again.
 */
export function liveChanges(state: State, signal: AbortSignal): AsyncIterable<ChangeBatch> {
  return telling(state.changes(signal));
}

async function* telling(changes: AsyncIterable<ChangeBatch>): AsyncGenerator<ChangeBatch> {
  try {
    yield* changes;
  } catch (error) {
    const why = reasonOf(error);
    throw new Refusal("unavailable", `the stream cannot go on, call again: ${why}`, { reason: "STREAM_BROKEN_OFF" });
  }
}
