// One call, brought to its end on virtual time.
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import type { Heard } from "#central/testing/heard.ts";
import type { VirtualClock } from "#lib/virtual-clock.ts";

/** Turns without an end after which time begins to go on, and by how much at each further one. */
const standing = 60;
const stepMs = 500;
/** After so many turns it has no end: ten minutes have passed. */
const turnsMax = 1_200;

export async function endOf(call: Promise<Heard>, clock: VirtualClock): Promise<Heard> {
  let done: Heard | undefined;
  void call.then((end) => {
    done = end;
  });
  for (let passed = 0; done === undefined && passed < turnsMax; passed++) {
    if (passed < standing) await turn();
    else {
      // Signatures are made beside this thread.
      await pause(passed < standing + 200 ? 0 : 1);
      clock.advance(stepMs);
    }
  }
  return done ?? { error: new Error("the call has no end") };
}
