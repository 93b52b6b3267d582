import { isInstalled } from "#domain/machine/boot-target.ts";
import { isReinstallAhead } from "#domain/machine/reinstall.ts";
import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import type { BootClaims } from "./boot-token.ts";

/**
 * Whether a call of an installer counts for this machine: the token is for it, the boot is its latest, and what it works
 * on is neither over nor called off.
 * @param machine what is known of the uuid that the call names
 * @throws Refusal "denied" for another machine's uuid, "precondition" for a boot or an epoch of the past
 */
export function checkSession(
  claims: BootClaims,
  uuid: string,
  machine: MachineObserved | undefined,
  desired: MachineDesired | undefined,
): void {
  if (claims.uuid !== undefined && claims.uuid !== uuid) {
    throw new Refusal("denied", `the token is for machine ${claims.uuid}, not ${uuid}`, otherMachine);
  }
  if (!machine) {
    throw new Refusal("precondition", `machine ${uuid} has not registered in this boot`, { reason: "NOT_REGISTERED" });
  }
  if (machine.boot !== claims.boot) throw staleBoot(uuid);
  if (desired && machine.workedEpoch !== 0n && machine.workedEpoch !== desired.epoch) {
    throw new Refusal(
      "precondition",
      `the allocation of epoch ${machine.workedEpoch} is over: the machine is at epoch ${desired.epoch}`,
      { reason: "STALE_EPOCH" },
    );
  }
  if (isReinstallAhead(desired, machine)) {
    const text = `machine ${uuid} is to be reinstalled by an order that is newer than this boot`;
    throw new Refusal("precondition", text, { reason: "STALE_REINSTALL" });
  }
  if (isInstalled(desired, machine) && machine.installedBoot !== machine.boot) {
    const text = `machine ${uuid}: the reinstallation was aborted; boot the system that is there`;
    throw new Refusal("precondition", text, { reason: "REINSTALL_ABORTED" });
  }
}

export const otherMachine = { reason: "OTHER_MACHINE" };

export const staleBoot = (uuid: string): Refusal =>
  new Refusal("precondition", `machine ${uuid} has booted again since: this boot is over`, { reason: "STALE_BOOT" });
