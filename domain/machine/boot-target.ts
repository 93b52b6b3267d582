import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { isReinstallDue, systemOnDisk } from "./reinstall.ts";

export type BootTarget = "installer" | "disk";

/**
 * Where a machine must boot from. The one answer for all who ask: the reconciler, DHCP, the iPXE script.
 * Disk only when the present allocation is known to be installed; whatever is not known boots the installer, which is
 * harmless to a machine that nobody owns and repairs one that was interrupted.
 */
export function bootTarget(desired: MachineDesired | undefined, observed: MachineObserved | undefined): BootTarget {
  return isInstalled(desired, observed) ? "disk" : "installer";
}

/** Whether the present allocation was installed to the end, under its own epoch, and is not to be installed anew. */
export const isInstalled = (desired: MachineDesired | undefined, observed: MachineObserved | undefined): boolean =>
  systemOnDisk(desired, observed) === "whole" && !isReinstallDue(desired, observed);
