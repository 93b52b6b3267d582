import { create } from "@bufbuild/protobuf";
import type { LocalMachine } from "#gen/holdfast/state/v1/budget_pb.ts";
import { type MachineDesired, MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";

/**
 * What is wanted of a machine that its partition may have given away by itself: the later of the two words, by their epochs. Central's
 * word about one that it delegated is later only when it has adopted the partition's, or when an administrator overruled it.
 * @param desired central's word
 * @param outbox of the agent that asks. A delegation that it may use says nothing about the machine; one of another outbox stays: what
 * was given away by it is not known
 */
export function effectiveDesired(
  desired: MachineDesired | undefined,
  local: LocalMachine | undefined,
  { partition, outbox }: { readonly partition: string; readonly outbox: string },
): MachineDesired | undefined {
  if (local && !isAdopted(desired, local)) {
    const { uuid, epoch, allocation, release } = local;
    const {
      allocation: _,
      release: __,
      delegated: ___,
      ...rest
    } = desired ?? create(MachineDesiredSchema, { partition });
    const own = { uuid, epoch, ...(allocation && { allocation }), ...(release && { release }) };
    return create(MachineDesiredSchema, { ...rest, ...own });
  }
  if (desired?.delegated?.outbox !== outbox) return desired;
  const { delegated: _, ...rest } = desired;
  return create(MachineDesiredSchema, rest);
}

/**
 * Whether central knows: then its word counts. A restored central that has forgotten the delegation may itself come to the epoch under which
 * the partition gave the machine away, and knows nothing of that.
 */
export const isAdopted = (desired: MachineDesired | undefined, { epoch, allocation }: LocalMachine): boolean =>
  desired !== undefined &&
  (desired.epoch > epoch ||
    (desired.epoch === epoch && (allocation === undefined || desired.allocation?.uuid === allocation.uuid)));
