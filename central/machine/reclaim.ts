import { withdrawStale } from "#domain/machine/bmc-order.ts";
import { nextEpoch } from "#domain/machine/epoch.ts";
import { firstDesired } from "#domain/machine/first-desired.ts";
import { touched } from "#domain/meta.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

/**
 * Takes back a machine that works for an allocation of which nothing is known here, as after a restore from an old copy: a new epoch
 * above all that its agent remembers, under which it is isolated and wiped.
 * @throws Refusal "not-found" for a machine that was never reported, "precondition" for one that is somebody's
 */
export function reclaim(tx: Tx, uuid: string, nowMs: number): MachineDesired {
  const observed = tx.get(kinds.machineObserved, uuid);
  const desired = tx.get(kinds.machineDesired, uuid);
  if (!observed) throw new Refusal("not-found", `machine ${uuid} was never reported`, { field: "uuid" });
  if (desired?.allocation) {
    const text = `machine ${uuid} is allocated to project ${desired.allocation.project}: release it instead`;
    throw new Refusal("precondition", text, { reason: "ALLOCATED" });
  }
  if (desired?.delegated) {
    const text = `machine ${uuid} is delegated to partition ${desired.partition} by budget ${desired.delegated.budget}: revoke that`;
    throw new Refusal("precondition", text, { reason: "DELEGATED" });
  }
  const next = desired ? copyOf(desired) : firstDesired(observed, nowMs);
  next.epoch = nextEpoch(desired, observed);
  withdrawStale(next, nowMs);
  next.meta = touched(next.meta, nowMs);
  tx.put(kinds.machineDesired, uuid, next);
  return next;
}
