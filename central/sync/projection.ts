import { create, type Message, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Budget, SiteAccess } from "#gen/holdfast/state/v1/budget_pb.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { SwitchDesired } from "#gen/holdfast/state/v1/switch_pb.ts";
import { type DesiredItem, DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import type { Stored } from "../store/cache.ts";
import { type Kind, kinds } from "../store/kinds.ts";

/** Kinds of which a partition's agent gets those items that concern its partition. */
export const followed: readonly Kind[] = [
  kinds.partition,
  kinds.size,
  kinds.sizeImageConstraint,
  kinds.image,
  kinds.filesystemLayout,
  kinds.network,
  kinds.machineDesired,
  kinds.switchDesired,
  kinds.acceptedHistory,
  kinds.budget,
  kinds.siteAccess,
];

const followedNames: ReadonlySet<string> = new Set(followed.map((kind) => kind.name));

export const isFollowed = ({ name }: Kind): boolean => followedNames.has(name);

/** Stands for all partitions; no partition has this id. */
export const everywhere = "*";

/** The partition whose agent gets an item, or `everywhere`. */
export function placesOf(kind: Kind, id: string, value: Message): string {
  switch (kind.name) {
    case kinds.partition.name:
    case kinds.acceptedHistory.name:
      return id;
    case kinds.budget.name:
      return (value as Budget).partition;
    case kinds.siteAccess.name:
      return (value as SiteAccess).partition;
    case kinds.machineDesired.name:
      return (value as MachineDesired).partition;
    case kinds.switchDesired.name:
      return (value as SwitchDesired).partition;
    case kinds.network.name:
      return (value as Network).partition ?? everywhere;
    default:
      return everywhere;
  }
}

/** Bytes of values, made once for all agents that get them: values are shared and never change. */
const encodings = new WeakMap<Message, Uint8Array>();

function encoded(kind: Kind, value: Message): Uint8Array {
  const known = encodings.get(value);
  if (known) return known;
  const bytes = toBinary(kind.schema, value);
  encodings.set(value, bytes);
  return bytes;
}

const writer = new BinaryWriter();
const { kind: kindField, id: idField, revision: revisionField, value: valueField } = DesiredItemSchema.field;

/** A `DesiredItem` that is there, in binary form. By hand, since a snapshot has tens of thousands: in less than half the time. */
export const encodedItem = (kind: Kind, { id, revision, value }: Stored<Message>): Uint8Array<ArrayBuffer> =>
  writer
    .tag(kindField.number, WireType.LengthDelimited)
    .string(kind.name)
    .tag(idField.number, WireType.LengthDelimited)
    .string(id)
    .tag(revisionField.number, WireType.Varint)
    .uint64(revision)
    .tag(valueField.number, WireType.LengthDelimited)
    .bytes(encoded(kind, value))
    .finish();

/** @param value absent: the item was deleted, or left the partition's view */
export const desiredItem = (kind: Kind, id: string, revision: bigint, value: Message | undefined): DesiredItem =>
  create(DesiredItemSchema, {
    kind: kind.name,
    id,
    revision,
    ...(value === undefined ? { deleted: true } : { value: encoded(kind, value) }),
  });
