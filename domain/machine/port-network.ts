import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineAllocation } from "#gen/metalstack/api/v2/machine_pb.ts";
import { isChild } from "../network/rules.ts";
import { isInstalled } from "./boot-target.ts";

/** Name of the network in which machines boot, are wiped and are installed. */
export const provisioning = "provisioning";

/**
 * Which network a machine's switch port must be in: the tenant's once its system is installed, else the provisioning one.
 * @returns `provisioning`, or the id of the allocation's private network
 */
export function portNetwork(desired: MachineDesired | undefined, observed: MachineObserved | undefined): string {
  if (!isInstalled(desired, observed)) return provisioning;
  return homeNetwork(desired?.allocation);
}

/** Where the port of an installed machine belongs. */
export function homeNetwork(allocation: MachineAllocation | undefined): string {
  const networks = allocation?.networks ?? [];
  const home = networks.find(({ networkType: type }) => isChild({ type })) ?? networks[0];
  return home?.network ?? provisioning;
}
