import { isEmpty } from "#domain/budget/items.ts";
import type { Budget } from "#gen/holdfast/state/v1/budget_pb.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

/** Why the agent that is there now must not use the budget; undefined when it may. */
export function doubt(state: Pick<State, "get">, { partition, outbox, free, recalled }: Budget): string | undefined {
  const now = state.get(kinds.reportCursor, partition)?.value.outbox;
  const isHeld = [free, recalled].some((items) => items && !isEmpty(items));
  if (!isHeld || outbox === now || outbox === "") return undefined;
  return "its agent has lost its disk, or works from a copy of it: what it gave away before is not known; revoke by force isolates and wipes the machines";
}
