import assert from "node:assert/strict";

/** Turns of the event loop: each looks at every socket and file that has something to say. */
const turnsMax = 200_000;

/** Resolves when it holds: what a store or another call does on its own takes some turns of the event loop. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < turnsMax && !holds(); i++) await new Promise(setImmediate);
  assert.ok(holds(), `${what} does not come true`);
}
