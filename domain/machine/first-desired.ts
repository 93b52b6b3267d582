import { create } from "@bufbuild/protobuf";
import { type MachineDesired, MachineDesiredSchema, type MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineConditionSchema, MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { newMeta } from "../meta.ts";
import { nextEpoch } from "./epoch.ts";

/** A machine that was seen for the first time belongs to nobody, and may be used. */
export const firstDesired = (observed: MachineObserved, nowMs: number): MachineDesired =>
  create(MachineDesiredSchema, {
    uuid: observed.uuid,
    partition: observed.partition,
    epoch: nextEpoch(undefined, observed),
    condition: create(MachineConditionSchema, { state: MachineState.AVAILABLE }),
    meta: newMeta(undefined, nowMs),
  });
