import { create } from "@bufbuild/protobuf";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import { SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { reasonHeader } from "#lib/rpc/reason-header.ts";
import { hasAgent } from "../boot/observe.ts";
import type { Cause } from "../history/cause.ts";
import { ipIndexes } from "../ip/indexes.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { isLinkUp } from "../sync/link-up.ts";
import { giveBackHeld } from "../sync/settle.ts";

type How = "if isolated" | "by force";

/**
 * Removes a machine that is gone for good. One that comes back is known again, as a new one.
 * @param how by force: somebody has seen that it is unplugged, so what it holds of its release is given back
 * @throws Refusal "not-found"; "precondition" while somebody has it, or it lives; "invalid" for force without a reason
 */
export async function forget(state: State, uuid: string, how: How, cause: Cause): Promise<void> {
  if (how === "by force" && cause.reason === "") {
    const text = `machine ${uuid} is forgotten by force only with a reason, in the header ${reasonHeader} (--reason)`;
    throw new Refusal("invalid", text, { field: reasonHeader, reason: "REASON_WANTED" });
  }
  for (let isGone = false; !isGone; )
    isGone = (await state.transact((tx) => forgetIn(tx, state, uuid, how), cause)).result;
}

/** @returns false when it holds more than one transaction may give back: what is left is the next one's */
function forgetIn(tx: Tx, state: State, uuid: string, how: How): boolean {
  const desired = tx.get(kinds.machineDesired, uuid);
  if (!desired) throw new Refusal("not-found", `machine ${uuid} does not exist`, { field: "uuid" });
  const { allocation, delegated, release } = desired;
  if (allocation) {
    const text = `machine ${uuid} is allocated to project ${allocation.project}: release it first`;
    throw new Refusal("precondition", text, { reason: "ALLOCATED" });
  }
  if (delegated) {
    const text = `machine ${uuid} is delegated to partition ${desired.partition} by budget ${delegated.budget}: resize or revoke that first`;
    throw new Refusal("precondition", text, { reason: "DELEGATED" });
  }
  if (release && how === "if isolated") {
    const text = `machine ${uuid} still holds what project ${release.project} had: its port is not known to be isolated. If it is unplugged for good, forget it by force`;
    throw new Refusal("precondition", text, { reason: "NOT_ISOLATED" });
  }
  checkSilent(tx, state, desired, how);
  const draft = copyOf(desired);
  giveBackHeld(tx, ipIndexes(state).byMachine, draft);
  if (draft.release) {
    tx.put(kinds.machineDesired, uuid, draft);
    return false;
  }
  tx.delete(kinds.machineDesired, uuid);
  tx.delete(kinds.machineObserved, uuid);
  tx.delete(kinds.bmcAccess, uuid);
  if (!hasAgent(tx, desired.partition)) unplug(tx, uuid);
  return true;
}

/** What an agent that is away had last seen is believed, unless somebody has looked since. */
function checkSilent(tx: Tx, state: State, { uuid, partition }: MachineDesired, how: How): void {
  if (tx.get(kinds.machineObserved, uuid)?.liveliness !== MachineLiveliness.ALIVE) return;
  const isHeard = isLinkUp(state, partition);
  if (!isHeard && how === "by force") return;
  const text = isHeard
    ? `machine ${uuid} is alive: it would be known again at once`
    : `machine ${uuid} was alive when the agent of partition ${partition}, which is not connected, last saw it. If it is unplugged for good, forget it by force`;
  throw new Refusal("precondition", text, { reason: "ALIVE" });
}

/** Its port is free for another machine. Where an agent sees the switches, it tells by itself. */
function unplug(tx: Tx, uuid: string): void {
  for (const { id, value } of tx.list(kinds.switch)) {
    const machineConnections = value.machineConnections.filter((c) => c.machineId !== uuid);
    if (machineConnections.length < value.machineConnections.length)
      tx.put(kinds.switch, id, create(SwitchSchema, { ...value, machineConnections }));
  }
}
