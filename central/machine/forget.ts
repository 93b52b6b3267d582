import { create } from "@bufbuild/protobuf";
import { MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import { SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { hasAgent } from "../boot/observe.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

/**
 * Removes a machine that is gone for good. One that comes back is known again, as a new one.
 * @throws Refusal "not-found"; "precondition" while somebody has it, or it lives
 */
export function forget(tx: Tx, uuid: string): void {
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
  if (release) {
    const text = `machine ${uuid} still holds what project ${release.project} had: its port is not known to be isolated`;
    throw new Refusal("precondition", text, { reason: "NOT_ISOLATED" });
  }
  if (tx.get(kinds.machineObserved, uuid)?.liveliness === MachineLiveliness.ALIVE) {
    throw new Refusal("precondition", `machine ${uuid} is alive: it would be known again at once`, { reason: "ALIVE" });
  }
  tx.delete(kinds.machineDesired, uuid);
  tx.delete(kinds.machineObserved, uuid);
  tx.delete(kinds.bmcAccess, uuid);
  if (!hasAgent(tx, desired.partition)) unplug(tx, uuid);
}

/** Its port is free for another machine. Where an agent sees the switches, it tells by itself. */
function unplug(tx: Tx, uuid: string): void {
  for (const { id, value } of tx.list(kinds.switch)) {
    const machineConnections = value.machineConnections.filter((c) => c.machineId !== uuid);
    if (machineConnections.length < value.machineConnections.length)
      tx.put(kinds.switch, id, create(SwitchSchema, { ...value, machineConnections }));
  }
}
