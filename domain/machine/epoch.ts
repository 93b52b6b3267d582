import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";

/** Every epoch that the agent remembers of a machine. */
const remembered = (observed: MachineObserved): readonly bigint[] => [
  observed.epoch,
  observed.wipedEpoch,
  observed.installedEpoch,
  observed.phonedHomeEpoch,
  observed.isolatedEpoch,
  observed.workedEpoch,
  observed.reclaimedEpoch,
  observed.diskBootEpoch,
  observed.heldOffEpoch,
];

/** Epochs rise by one with each allocation and each release: who says to be beyond this is mistaken, and the next would not fit. */
export const epochMax: bigint = 2n ** 53n;

/** The highest epoch that the agent remembers; 0 when it remembers none. */
export const highestEpoch = (observed: MachineObserved): bigint =>
  remembered(observed).reduce((max, epoch) => (epoch > max ? epoch : max), 0n);

/**
 * An epoch above everything that either side remembers: otherwise what was done under an old number would one day pass for done under
 * the same number of now. Central's own record may be the older one, when its store was restored. Those that an agent may have used of a
 * machine that is delegated to it are passed over.
 */
export function nextEpoch(desired: MachineDesired | undefined, observed: MachineObserved | undefined): bigint {
  const delegated = desired?.delegated?.epochLast ?? 0n;
  const wanted = desired && desired.epoch > delegated ? desired.epoch : delegated;
  const seen = observed ? highestEpoch(observed) : 0n;
  return (wanted > seen ? wanted : seen) + 1n;
}
