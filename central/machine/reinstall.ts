import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type OsDisks, osDisks } from "#domain/filesystem/os-disks.ts";
import { checkImageOfSize, imageWanted, roleOf } from "#domain/machine/create.ts";
import { isReinstallDue, nextReinstallNumber, reinstallProgress, systemOnDisk } from "#domain/machine/reinstall.ts";
import { touched } from "#domain/meta.ts";
import { type MachineDesired, ReinstallSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { type MachineAllocation, MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { hasAgent } from "../boot/observe.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { createReads } from "./create-reads.ts";

interface Named {
  readonly uuid: string;
  readonly project: string;
  /** Unix time. */
  readonly nowMs: number;
}

/**
 * What an order to install an allocated machine anew makes of it; nothing is put. Epoch, addresses and all disks but the operating
 * system's stay.
 * @throws Refusal "not-found" for what the project does not have, "precondition" where it cannot be done
 */
export function reinstall(
  tx: Tx,
  { uuid, project, image, user, nowMs }: Named & { readonly image: string | undefined; readonly user: string },
): { readonly desired: MachineDesired; readonly disks: OsDisks } {
  const { desired, allocation } = ownedBy(tx, uuid, project);
  const observed = tx.get(kinds.machineObserved, uuid);
  if (desired.condition?.state === MachineState.LOCKED) {
    const text = `machine ${uuid} is locked: ${desired.condition.description}`;
    throw new Refusal("precondition", text, { reason: "MACHINE_LOCKED" });
  }
  if (!hasAgent(tx, desired.partition)) {
    const text = `partition ${desired.partition} has no agent: only an agent tells installers which disks to keep`;
    throw new Refusal("precondition", text, { reason: "PARTITION_WITHOUT_AGENT" });
  }
  const wanted =
    image === undefined ? allocation.image : imageWanted(createReads(tx), image, roleOf(allocation), nowMs);
  if (!wanted || !allocation.filesystemLayout) {
    const text = `machine ${uuid} has no image or no filesystem layout`;
    throw new Refusal("precondition", text, { reason: "NOT_INSTALLABLE" });
  }
  checkImageOfSize(tx.get(kinds.sizeImageConstraint, observed?.size ?? ""), wanted.id);
  const disks = osDisks(allocation.filesystemLayout);
  if (!disks.ok) throw new Refusal("precondition", disks.error, { reason: "LAYOUT_NOT_REINSTALLABLE" });
  const next = copyOf(desired);
  // Orders before this one that were not carried out never replaced what is there.
  const formerImage = isReinstallDue(desired, observed) ? desired.reinstall?.formerImage : allocation.image;
  next.reinstall = create(ReinstallSchema, {
    number: nextReinstallNumber(desired, observed),
    keeps: desired.reinstall?.keeps === true || systemOnDisk(desired, observed) !== "none",
    image: wanted,
    ...(formerImage && { formerImage }),
    orderedBy: user,
    orderedAt: timestampFromMs(nowMs),
  });
  if (next.allocation) next.allocation.image = wanted;
  next.meta = touched(next.meta, nowMs);
  return { desired: next, disks: disks.value };
}

/**
 * Calls the latest order off, so that the system boots that is still there. Should the agent have begun to overwrite it by then, the
 * reinstallation goes on, and the next report says so.
 * @throws Refusal "not-found" for what the project does not have, "precondition" when there is nothing to go back to
 */
export function abortReinstall(tx: Tx, { uuid, project, nowMs }: Named): MachineDesired {
  const { desired } = ownedBy(tx, uuid, project);
  const observed = tx.get(kinds.machineObserved, uuid);
  const { reinstall: order } = desired;
  if (!order || order.aborted || reinstallProgress(desired, observed).installed >= order.number) {
    const text = `machine ${uuid} is not being reinstalled: there is nothing to abort`;
    throw new Refusal("precondition", text, { reason: "NO_REINSTALL" });
  }
  const system = systemOnDisk(desired, observed);
  if (system !== "whole") {
    const text =
      system === "none"
        ? `machine ${uuid} had no system before reinstallation ${order.number}: there is nothing to go back to`
        : `machine ${uuid}: reinstallation ${order.number} has begun to overwrite the old system, and goes on; the kept disks stay as they are`;
    throw new Refusal("precondition", text, { reason: system === "none" ? "NO_SYSTEM" : "OVERWRITTEN" });
  }
  const next = copyOf(desired);
  if (next.reinstall) next.reinstall.aborted = true;
  if (next.allocation && order.formerImage) next.allocation.image = order.formerImage;
  next.meta = touched(next.meta, nowMs);
  tx.put(kinds.machineDesired, uuid, next);
  return next;
}

function ownedBy(
  tx: Tx,
  uuid: string,
  project: string,
): { readonly desired: MachineDesired; readonly allocation: MachineAllocation } {
  const desired = tx.get(kinds.machineDesired, uuid);
  if (!desired?.allocation || desired.allocation.project !== project) {
    throw new Refusal("not-found", `machine ${uuid} does not exist in project ${project}`, { field: "uuid" });
  }
  return { desired, allocation: desired.allocation };
}
