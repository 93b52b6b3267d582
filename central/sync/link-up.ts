import { Refusal } from "#lib/refusal.ts";
import { hasAgent } from "../boot/observe.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

/**
 * Whether the partition's agent is connected to this central or to another one that shares the store. Where there is no agent, there is no
 * link that could be down.
 */
export function isLinkUp(state: Pick<State, "get">, partition: string): boolean {
  if (!hasAgent(state, partition)) return true;
  const life = state.get(kinds.agentLife, partition)?.value;
  return life !== undefined && state.get(kinds.centralSession, life.session) !== undefined;
}

/**
 * Of a partition that is cut off nobody here knows how its machines are: none of them is given away.
 * @throws Refusal "unavailable"
 */
export function checkLinkUp(state: Pick<State, "get">, partition: string): void {
  if (isLinkUp(state, partition)) return;
  const text =
    `partition ${partition} is cut off, and central gives no machine away there: its agent is not connected; wait until it is, or ask ` +
    "the partition itself for what is delegated to it";
  throw new Refusal("unavailable", text, { reason: "PARTITION_CUT_OFF", field: "partition" });
}
