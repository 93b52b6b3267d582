import type { Labels, UpdateLabels } from "#gen/metalstack/api/v2/common_pb.ts";
import type { IP } from "#gen/metalstack/api/v2/ip_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { labelsTouched } from "../meta.ts";

/** Label of an address that says which machine uses it. Clients of metal-stack know it by this name. */
export const machineLabel = "machine.metal-stack.io/id";

/** uuid of the machine that uses an address; undefined when none does. */
export const machineOf = (ip: Pick<IP, "meta">): string | undefined => ip.meta?.labels?.labels[machineLabel];

/** @throws Refusal "invalid" for labels, or a change of them, by which an address would seem to be a machine's, or not to be */
export function checkMachineLabel(labels: Labels | UpdateLabels | undefined): void {
  if (labelsTouched(labels).includes(machineLabel))
    throw new Refusal("invalid", `label ${machineLabel} is set by naming a machine, not by hand`, { field: "labels" });
}
