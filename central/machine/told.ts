import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

/**
 * A restored store may hold machines for free that work for somebody, until the partition's agent has told what it sees.
 * @throws Refusal "precondition" until then
 */
export function checkTold(state: Pick<State, "get" | "history">, partition: string): void {
  const told = state.get(kinds.reportCursor, partition)?.value.history ?? "";
  // An agent that does not say, or has never reported: there is nothing that could have been forgotten.
  if (told === "" || told === state.history) return;
  const text = `partition ${partition}: the store was restored, and the agent has not yet reported everything again; wait until it is connected`;
  throw new Refusal("precondition", text, { reason: "NOT_TOLD_SINCE_RESTORE", field: "partition" });
}
