import { isInstalled } from "#domain/machine/boot-target.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { ConsolePassword } from "#gen/holdfast/state/v1/secret_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { viewOf } from "./views.ts";

/** Keeps it for as long as the allocation lasts whose system it belongs to. */
export function keepConsolePassword(tx: Tx, { uuid, epoch, allocation }: MachineDesired, given: ConsolePassword): void {
  if (allocation && given.epoch === epoch) tx.put(kinds.consolePassword, uuid, given);
}

/** @throws Refusal "not-found", or "precondition" while the machine has no system that is in use */
export function consolePasswordOf(state: State, uuid: string): string {
  const view = viewOf(state, uuid);
  if (!view) throw new Refusal("not-found", `machine ${uuid} does not exist`, { field: "uuid" });
  if (!isInstalled(view.desired, view.observed)) {
    throw new Refusal("precondition", `machine ${uuid} is not installed`, { reason: "NOT_INSTALLED", field: "uuid" });
  }
  const kept = state.get(kinds.consolePassword, uuid)?.value;
  if (kept?.epoch === view.desired.epoch) return kept.password;
  const text = `machine ${uuid}: its installer told no console password, or it was told before central's store was restored`;
  throw new Refusal("not-found", text, { reason: "NO_CONSOLE_PASSWORD", field: "uuid" });
}
