// What an installer is to do with the disks of its server, and what it may tell of them.
import { create } from "@bufbuild/protobuf";
import { osDisks } from "#domain/filesystem/os-disks.ts";
import { isInstalled } from "#domain/machine/boot-target.ts";
import { allocationToInstall, keepsDisks, reinstallNumber, reinstallProgress } from "#domain/machine/reinstall.ts";
import { type DutyResponse, DutyResponseSchema } from "#gen/holdfast/install/v1/install_pb.ts";
import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { lostRecord } from "../machine/lost-record.ts";

interface Record {
  readonly desired: MachineDesired | undefined;
  readonly observed: MachineObserved;
  /** Why what is remembered cannot be trusted. */
  readonly safeMode: string | undefined;
}

/**
 * The duty of whoever runs in a boot of the machine that counts. Only what is known to be nobody's is wiped.
 * @throws Refusal "unavailable" while that may still become known, "precondition" where somebody has to look
 */
export function dutyOf({ desired, observed, safeMode }: Record): DutyResponse {
  const { uuid } = observed;
  if (safeMode !== undefined) throw new Refusal("unavailable", `machine ${uuid}: waiting for ${safeMode}`);
  const lost = lostRecord(desired, observed);
  if (lost !== undefined)
    throw new Refusal("precondition", `machine ${uuid}: waiting for ${lost}`, { reason: "LOST_RECORD" });
  if (!desired || !keepsDisks(desired, observed))
    return create(DutyResponseSchema, { duty: { case: "wipe", value: {} } });
  const allocation = allocationToInstall(desired);
  if (isInstalled(desired, observed) || !allocation?.filesystemLayout) {
    const text = `machine ${uuid} is installed and in use: none of its disks may be touched`;
    throw new Refusal("precondition", text, { reason: "IN_USE" });
  }
  const disks = osDisks(allocation.filesystemLayout);
  if (!disks.ok) throw new Refusal("precondition", disks.error, { reason: "LAYOUT" });
  const value = {
    number: reinstallNumber(desired, observed),
    allocation,
    overwrite: [...disks.value.overwritten],
    disks: observed.disks,
  };
  return create(DutyResponseSchema, { duty: { case: "reinstall", value } });
}

/** @param m a draft, changed in place @throws Refusal "precondition" for an order that is not the one being carried out */
export function noteOverwrite(m: MachineObserved, desired: MachineDesired | undefined, number: number): void {
  const progress = reinstallProgress(desired, m);
  if (!keepsDisks(desired, m) || number !== progress.begun || progress.toldBoot !== m.boot) {
    const text = `machine ${m.uuid}: reinstallation ${number} is not being carried out by this boot`;
    throw new Refusal("precondition", text, { reason: "STALE_REINSTALL" });
  }
  m.reinstall = { ...progress, overwritten: number };
}

/** An installer that was not told to keep disks would wipe them. @throws Refusal "precondition" for one that did not ask */
export function checkTold(observed: MachineObserved, desired: MachineDesired | undefined): void {
  if (!keepsDisks(desired, observed) || reinstallProgress(desired, observed).toldBoot === observed.boot) return;
  const text =
    `machine ${observed.uuid} is being reinstalled, and this installer does not ask which disks to keep: ` +
    "take the boot image of this version";
  throw new Refusal("precondition", text, { reason: "KEEPS_DISKS" });
}
