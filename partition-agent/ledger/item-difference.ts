// How two histories differ in one item that is no machine, in words for people. Pure.
import { create, type DescMessage, fromBinary, type JsonObject, toJson } from "@bufbuild/protobuf";
import { BudgetSchema, SiteAccessSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import { AcceptedHistorySchema, type ItemDifference, ItemDifferenceSchema } from "#gen/holdfast/state/v1/history_pb.ts";
import { SwitchDesiredSchema } from "#gen/holdfast/state/v1/switch_pb.ts";
import type { DesiredItem } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { FilesystemLayoutSchema } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { ImageSchema } from "#gen/metalstack/api/v2/image_pb.ts";
import { NetworkSchema } from "#gen/metalstack/api/v2/network_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { SizeImageConstraintSchema } from "#gen/metalstack/api/v2/size_imageconstraint_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { equalBytes } from "#lib/bytes.ts";

/** What each history has of an item; undefined when it has none. */
export interface ItemSides {
  readonly inForce: DesiredItem | undefined;
  readonly held: DesiredItem | undefined;
}

const schemas: Readonly<Record<string, DescMessage>> = {
  partition: PartitionSchema,
  size: SizeSchema,
  "size-image-constraint": SizeImageConstraintSchema,
  image: ImageSchema,
  "filesystem-layout": FilesystemLayoutSchema,
  network: NetworkSchema,
  "switch-desired": SwitchDesiredSchema,
  "accepted-history": AcceptedHistorySchema,
  budget: BudgetSchema,
  "site-access": SiteAccessSchema,
};

export const differs = ({ inForce, held }: ItemSides): boolean =>
  inForce === undefined || held === undefined
    ? inForce !== held
    : inForce.revision !== held.revision || !equalBytes(inForce.value, held.value);

/** Names the fields that differ, and shows none of them: some are secret. */
export const itemDifference = (id: string, { inForce, held }: ItemSides): ItemDifference =>
  create(ItemDifferenceSchema, {
    id,
    inForce: sideText(inForce),
    held: sideText(held),
    fields: inForce && held ? differingFields(inForce, held) : [],
  });

const sideText = (item: DesiredItem | undefined): string => (item ? `revision ${item.revision}` : "unknown");

function differingFields(inForce: DesiredItem, held: DesiredItem): string[] {
  if (equalBytes(inForce.value, held.value)) return [];
  const [a, b] = [inForce, held].map(fieldsOf);
  if (!a || !b) return [unnamed];
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  const found = names.filter((name) => JSON.stringify(a[name]) !== JSON.stringify(b[name])).sort();
  return found.length > 0 ? found : [unnamed];
}

/** What this version of the agent does not know. */
const unnamed = "unknown";

function fieldsOf({ kind, value }: DesiredItem): JsonObject | undefined {
  const schema = Object.hasOwn(schemas, kind) ? schemas[kind] : undefined;
  try {
    return schema && (toJson(schema, fromBinary(schema, value)) as JsonObject); // of a message that is no well-known one
  } catch {
    return undefined;
  }
}
