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
  return undefined;
}
