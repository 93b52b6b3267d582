// How far the orders to install an allocated machine anew have come, and what follows for its disks.
//
// An allocation's epoch stays through its reinstallations, so all that is made for the tenant goes on to count; orders are numbered
// under it. Once a system was installed under the epoch, the tenant's data may be on any disk: from then on until the epoch
// is over nobody is told to wipe, whatever else fails or is forgotten.
import { create } from "@bufbuild/protobuf";
import {
  type MachineDesired,
  type MachineObserved,
  type ReinstallProgress,
  ReinstallProgressSchema,
} from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineAllocation } from "#gen/metalstack/api/v2/machine_pb.ts";

type Desired = MachineDesired | undefined;
type Observed = MachineObserved | undefined;

const nothing = create(ReinstallProgressSchema);

/** Of the machine's present epoch. */
export const reinstallProgress = (desired: Desired, observed: Observed): ReinstallProgress =>
  desired && observed?.reinstall?.epoch === desired.epoch ? observed.reinstall : nothing;

/**
 * Whether a system that was installed under the present epoch can be booted: `none` was, it is `whole`, or a later order has begun
 * to overwrite it.
 */
export function systemOnDisk(desired: Desired, observed: Observed): "none" | "whole" | "overwritten" {
  if (!desired?.allocation || !observed || observed.installedEpoch !== desired.epoch) return "none";
  const { overwritten, installed } = reinstallProgress(desired, observed);
  return overwritten > installed ? "overwritten" : "whole";
}

/** The order to carry out. One that has begun to overwrite counts even if nothing is known of it any more. 0: none was given. */
export const reinstallNumber = (desired: Desired, observed: Observed): number =>
  Math.max(desired?.reinstall?.number ?? 0, reinstallProgress(desired, observed).overwritten);

/** Whether the latest order is called off in time: the old system is still whole. */
export const isAborted = (desired: Desired, observed: Observed): boolean =>
  desired?.reinstall?.aborted === true && systemOnDisk(desired, observed) === "whole";

/** Whether an order is to be carried out. */
export const isReinstallDue = (desired: Desired, observed: Observed): boolean =>
  desired?.allocation !== undefined &&
  reinstallNumber(desired, observed) > reinstallProgress(desired, observed).installed &&
  !isAborted(desired, observed);

/** Whether an order is to be carried out for which the machine has not booted the installer yet: something else runs there. */
export const isReinstallAhead = (desired: Desired, observed: Observed): boolean =>
  isReinstallDue(desired, observed) && reinstallProgress(desired, observed).begun < reinstallNumber(desired, observed);

/** Whether the machine's disks hold data of the allocation that it is for. */
export const keepsDisks = (desired: Desired, observed: Observed): boolean =>
  desired?.allocation !== undefined &&
  (desired.reinstall?.keeps === true || systemOnDisk(desired, observed) !== "none");

/** What is to be installed: an order that was called off too late installs its own image all the same. */
export function allocationToInstall({ allocation, reinstall }: MachineDesired): MachineAllocation | undefined {
  if (!allocation || !reinstall?.aborted || !reinstall.image) return allocation;
  return { ...allocation, image: reinstall.image };
}

/** Enters that the machine boots the installer for what is to be done by now. @param m a draft, changed in place */
export function noteBegun(m: MachineObserved, desired: Desired): void {
  const begun = reinstallNumber(desired, m);
  if (!desired || begun === 0) return;
  m.reinstall = { ...reinstallProgress(desired, m), epoch: desired.epoch, begun, toldBoot: "" };
}

/** The number above all that either side remembers under the present epoch. */
export function nextReinstallNumber(desired: MachineDesired, observed: Observed): number {
  const { begun, overwritten, installed } = reinstallProgress(desired, observed);
  return Math.max(desired.reinstall?.number ?? 0, begun, overwritten, installed) + 1;
}
