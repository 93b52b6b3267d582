import { create } from "@bufbuild/protobuf";
import { type MachineDesired, MachineDesiredSchema, type MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineConditionSchema, MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { newMeta } from "../meta.ts";

/**
 * A machine that was seen for the first time belongs to nobody, and may be used. Its epoch is above all that is remembered
 * of it: otherwise what was done under an old number would one day pass for done under the same number of now.
 */
export function firstDesired(observed: MachineObserved, nowMs: number): MachineDesired {
  const remembered = epochsOf(observed).reduce((max, epoch) => (epoch > max ? epoch : max), 0n);
  return create(MachineDesiredSchema, {
    uuid: observed.uuid,
    partition: observed.partition,
    epoch: remembered + 1n,
    condition: create(MachineConditionSchema, { state: MachineState.AVAILABLE }),
    meta: newMeta(undefined, nowMs),
  });
}

/** Every epoch that the agent remembers of a machine. */
export const epochsOf = (observed: MachineObserved): readonly bigint[] => [
  observed.epoch,
  observed.installedEpoch,
  observed.phonedHomeEpoch,
  observed.isolatedEpoch,
  observed.workedEpoch,
  observed.reclaimedEpoch,
  observed.diskBootEpoch,
  observed.heldOffEpoch,
];
