import { create, type Message, toBinary } from "@bufbuild/protobuf";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import { type DesiredItem, DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import { type Kind, kinds } from "../store/kinds.ts";

/** Kinds of which a partition's agent gets those items that concern its partition. */
export const followed: readonly Kind[] = [
  kinds.partition,
  kinds.size,
  kinds.image,
  kinds.filesystemLayout,
  kinds.network,
  kinds.machineDesired,
  kinds.acceptedHistory,
];

/** Whether an item belongs into a partition's view. */
export function concerns(kind: Kind, id: string, value: Message, partition: string): boolean {
  switch (kind.name) {
    case kinds.partition.name:
    case kinds.acceptedHistory.name:
      return id === partition;
    case kinds.machineDesired.name:
      return (value as MachineDesired).partition === partition;
    case kinds.network.name: {
      const home = (value as Network).partition;
      return home === undefined || home === partition;
    }
    default:
      return followed.some((k) => k.name === kind.name);
  }
}

/** @param value absent: the item was deleted, or left the partition's view */
export const desiredItem = (kind: Kind, id: string, revision: bigint, value: Message | undefined): DesiredItem =>
  create(DesiredItemSchema, {
    kind: kind.name,
    id,
    revision,
    ...(value === undefined ? { deleted: true } : { value: toBinary(kind.schema, value) }),
  });
