import { clone, create } from "@bufbuild/protobuf";
import { machineLabel } from "#domain/ip/machine-label.ts";
import { asnTag } from "#domain/machine/tags.ts";
import { touched } from "#domain/meta.ts";
import { type MachineDesired, MachineDesiredSchema, ReleaseSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

/**
 * Ends a machine's allocation: a new epoch that wants it free. Its addresses stay taken until the agent has seen the port
 * isolated, so that nobody else gets an address that still answers.
 * @param project whose machine it must be; undefined for administrators
 * @throws Refusal "not-found" when there is no such allocation, "precondition" when the machine is locked
 */
export function release(tx: Tx, uuid: string, project: string | undefined, nowMs: number): MachineDesired {
  const desired = tx.get(kinds.machineDesired, uuid);
  const allocation = desired?.allocation;
  if (!desired || !allocation || (project !== undefined && allocation.project !== project)) {
    throw new Refusal(
      "not-found",
      `no machine ${uuid} is allocated${project === undefined ? "" : ` to project ${project}`}`,
      { field: "uuid" },
    );
  }
  if (desired.condition?.state === MachineState.LOCKED) {
    throw new Refusal("precondition", `machine ${uuid} is locked: ${desired.condition.description}`, {
      reason: "MACHINE_LOCKED",
    });
  }
  const next = clone(MachineDesiredSchema, desired);
  delete next.allocation;
  next.epoch = desired.epoch + 1n;
  next.orders = [];
  next.meta = touched(desired.meta, nowMs);
  const ips = tx.list(kinds.ip).filter(({ value }) => value.meta?.labels?.labels[machineLabel] === uuid);
  next.release = create(ReleaseSchema, {
    epoch: next.epoch,
    project: allocation.project,
    ips: [...new Set([...(desired.release?.ips ?? []), ...ips.map((ip) => ip.id)])],
  });
  const asn = allocation.meta?.labels?.labels[asnTag];
  if (asn !== undefined) tx.delete(kinds.claim, `asn/${asn}`);
  tx.put(kinds.machineDesired, uuid, next);
  return next;
}
