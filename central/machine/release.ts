import { create } from "@bufbuild/protobuf";
import { withdrawStale } from "#domain/machine/bmc-order.ts";
import { nextEpoch } from "#domain/machine/epoch.ts";
import { touched } from "#domain/meta.ts";
import { type MachineDesired, ReleaseSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import type { MachineIndexes } from "./indexes.ts";
import { giveBackName } from "./unique-name.ts";

/**
 * Ends a machine's allocation: a new epoch that wants it free. Its addresses and its ASN stay taken until the agent has seen
 * the port isolated, so that nobody else gets an address that still answers, or a number that still speaks BGP.
 * @throws Refusal "not-found" when the project has no such machine, "precondition" when the machine is locked
 */
export function release(
  tx: Tx,
  { ipsByMachine }: MachineIndexes,
  { uuid, project, nowMs }: { readonly uuid: string; readonly project: string; readonly nowMs: number },
): MachineDesired {
  const desired = tx.get(kinds.machineDesired, uuid);
  const allocation = desired?.allocation;
  if (allocation?.project !== project) {
    throw new Refusal("not-found", `machine ${uuid} does not exist in project ${project}`, { field: "uuid" });
  }
  if (desired?.condition?.state === MachineState.LOCKED) {
    throw new Refusal("precondition", `machine ${uuid} is locked: ${desired.condition.description}`, {
      reason: "MACHINE_LOCKED",
    });
  }
  const next = copyOf(desired as MachineDesired); // it has an allocation
  delete next.allocation;
  delete next.reinstall;
  next.epoch = nextEpoch(desired, tx.get(kinds.machineObserved, uuid));
  withdrawStale(next, nowMs);
  next.meta = touched(next.meta, nowMs);
  // One that is tied to the machine by a commit just before this one may be missing: `settle` looks once more.
  const ips = tx.by(ipsByMachine, uuid).map((ip) => ip.id);
  const asns = [...new Set(allocation.networks.map((n) => n.asn))];
  next.release = create(ReleaseSchema, { epoch: next.epoch, project, ips, allocation: allocation.uuid, asns });
  tx.put(kinds.machineDesired, uuid, next);
  tx.delete(kinds.consolePassword, uuid);
  giveBackName(tx, { project, name: allocation.name, allocation: allocation.uuid });
  return next;
}
