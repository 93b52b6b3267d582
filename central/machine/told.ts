import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

/** Whether a restored store knows again of everything that the partition's agent sees. */
export function isTold(state: Pick<State, "get" | "history">, partition: string): boolean {
  const told = state.get(kinds.reportCursor, partition)?.value.history ?? "";
  // An agent that does not say, or has never reported: there is nothing that could have been forgotten.
  return told === "" || told === state.history;
}

/**
 * A restored store may hold machines for free that work for somebody, until the partition's agent has told what it sees.
 * @throws Refusal "precondition" until then
 */
export function checkTold(state: Pick<State, "get" | "history">, partition: string): void {
  if (isTold(state, partition)) return;
  const text = `partition ${partition}: the store was restored, and the agent has not yet reported everything again; wait until it is connected`;
  throw new Refusal("precondition", text, { reason: "NOT_TOLD_SINCE_RESTORE", field: "partition" });
}
