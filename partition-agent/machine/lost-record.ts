import { highestEpoch } from "#domain/machine/epoch.ts";
import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";

/**
 * Whether one half of what must be known of a machine that works for somebody is missing here: the disk of the agent or the
 * set that central sent has lost it. Absence never means reset: nothing is moved, switched or wiped then.
 * @returns what is missing, in words for people
 */
export function lostRecord(
  desired: MachineDesired | undefined,
  observed: MachineObserved | undefined,
): string | undefined {
  // What another life of the agent may have given away is not known, so it could be anybody's.
  if (desired?.delegated)
    return "somebody to look: the machine was delegated to an agent whose disk is lost or elsewhere; revoking its budget by force frees it";
  if (!desired && observed && observed.workedEpoch !== 0n) {
    return `central to say what the machine is for: it works for epoch ${observed.workedEpoch}, of which nothing is known here`;
  }
  // Whoever was given to somebody had booted the installer before, under this agent.
  if (desired?.allocation && (observed?.boot ?? "") === "") {
    return `somebody to look: the machine is allocated under epoch ${desired.epoch}, but this agent has no record of it`;
  }
  if (desired && observed && observed.workedEpoch > desired.epoch) {
    return `somebody to look: the machine works for epoch ${observed.workedEpoch}, but central is at ${desired.epoch}, as after a restore`;
  }
  // Its tenant had given it back, and a restored central has forgotten that. One that is free by both is nobody's, whatever the number.
  if (desired?.allocation && observed && highestEpoch(observed) > desired.epoch) {
    return `somebody to look: the machine was at epoch ${highestEpoch(observed)} already, but central has it allocated under ${desired.epoch}, as after a restore; deleting it frees it`;
  }
  return undefined;
}
