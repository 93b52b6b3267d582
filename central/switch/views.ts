// A switch has two halves, as a machine has: what people want of it, and what is seen of it.
import { composeSwitch, firstSwitch } from "#domain/switch/compose.ts";
import type { SwitchDesired } from "#gen/holdfast/state/v1/switch_pb.ts";
import { type Switch, SwitchReplaceMode } from "#gen/metalstack/api/v2/switch_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";

/** As the public API shows it; undefined when it was never seen. */
export function switchOf(state: State, id: string): Switch | undefined {
  const observed = state.get(kinds.switch, id)?.value;
  return observed && composeSwitch(state.get(kinds.switchDesired, id)?.value, observed);
}

export const switchesOf = (state: State): readonly Switch[] =>
  state.list(kinds.switch).map(({ id, value }) => composeSwitch(state.get(kinds.switchDesired, id)?.value, value));

export function unknownSwitch(id: string, field = "id"): never {
  throw new Refusal("not-found", `switch ${id} does not exist`, { field });
}

export interface SwitchView {
  readonly desired: SwitchDesired;
  readonly observed: Switch;
}

/** The next switch that registers under its id takes its place. */
export const isReplaced = ({ replaceMode }: SwitchDesired): boolean => replaceMode === SwitchReplaceMode.REPLACE;

/** Both halves, to be changed. @throws Refusal "not-found" */
export function switchView(tx: Tx, id: string, nowMs: number, field?: string): SwitchView {
  const observed = tx.get(kinds.switch, id) ?? unknownSwitch(id, field);
  return { observed, desired: tx.get(kinds.switchDesired, id) ?? firstSwitch(observed, nowMs) };
}

/** Enters what is seen of a switch. One that is new belongs to those that people can wish for from now on. */
export function enterSwitch(tx: Tx, seen: Switch, nowMs: number): void {
  tx.put(kinds.switch, seen.id, seen);
  if (!tx.get(kinds.switchDesired, seen.id)) tx.put(kinds.switchDesired, seen.id, firstSwitch(seen, nowMs));
}
