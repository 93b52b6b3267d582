import { create } from "@bufbuild/protobuf";
import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import {
  type Machine,
  MachineConditionSchema,
  MachineLiveliness,
  MachineSchema,
  MachineState,
  MachineStatusSchema,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Partition, PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { type Size, SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { copyOf } from "#lib/message.ts";

/** Where the full content of references is looked up. */
export interface References {
  partition(id: string): Partition | undefined;
  size(id: string): Size | undefined;
}

/** The machine as the public API shows it: what central wants and what the agent saw, references expanded. */
export function composeMachine(
  desired: MachineDesired,
  observed: MachineObserved | undefined,
  references: References,
): Machine {
  const sizeId = observed?.size ?? "";
  return create(MachineSchema, {
    uuid: desired.uuid,
    ...(desired.meta && { meta: desired.meta }),
    partition: references.partition(desired.partition) ?? create(PartitionSchema, { id: desired.partition }),
    rack: observed?.rack ?? "",
    room: observed?.room ?? "",
    ...(sizeId !== "" && { size: references.size(sizeId) ?? create(SizeSchema, { id: sizeId }) }),
    ...(observed?.hardware && { hardware: observed.hardware }),
    ...(desired.allocation && { allocation: desired.allocation }),
    ...(observed?.events && { recentProvisioningEvents: observed.events }),
    status: create(MachineStatusSchema, {
      condition: desired.condition
        ? copyOf(desired.condition)
        : create(MachineConditionSchema, { state: MachineState.AVAILABLE }),
      liveliness: observed?.liveliness ?? MachineLiveliness.UNKNOWN,
      metalHammerVersion: observed?.installerVersion ?? "",
      ...(observed?.ledState && { ledState: observed.ledState }),
    }),
  });
}
