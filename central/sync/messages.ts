// What central says to an agent about its partition: all of it, or what one revision changed.
import { create } from "@bufbuild/protobuf";
import { type DesiredItem, type FollowResponse, FollowResponseSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { ChangeBatch } from "../store/cache.ts";
import type { State } from "../store/state.ts";
import { concerns, desiredItem, followed } from "./projection.ts";

/** Of one message of a snapshot; a single larger item goes alone. */
export const chunkLimits = { items: 500, bytes: 1 << 20 } as const;

/**
 * The partition's whole desired state at the state's present revision. It is taken at the first step: a list that was read after a
 * pause would be of a later revision than it says.
 */
export function* snapshotOf(state: State, partition: string): Generator<FollowResponse> {
  const { history, revision } = state;
  const rows = followed.flatMap((kind) =>
    state
      .list(kind)
      .filter((row) => concerns(kind, row.id, row.value, partition))
      .map((row) => ({ kind, row })),
  );
  yield response({ case: "snapshotBegin", value: { history, revision } });
  let items: DesiredItem[] = [];
  let bytes = 0;
  for (const { kind, row } of rows) {
    const item = desiredItem(kind, row.id, row.revision, row.value);
    if (items.length > 0 && (items.length >= chunkLimits.items || bytes + item.value.length > chunkLimits.bytes)) {
      yield response({ case: "snapshotItems", value: { items } });
      [items, bytes] = [[], 0];
    }
    items.push(item);
    bytes += item.value.length;
  }
  if (items.length > 0) yield response({ case: "snapshotItems", value: { items } });
  yield response({ case: "snapshotEnd", value: { revision } });
}

/** None when the batch does not concern the partition. An item that leaves the partition's view counts as deleted. */
export function deltaOf({ revision, changes }: ChangeBatch, partition: string): readonly FollowResponse[] {
  const items = changes.flatMap(({ kind, id, value, before }) => {
    if (value !== undefined && concerns(kind, id, value, partition)) return [desiredItem(kind, id, revision, value)];
    if (before !== undefined && concerns(kind, id, before, partition)) {
      return [desiredItem(kind, id, revision, undefined)];
    }
    return [];
  });
  return items.length > 0 ? [response({ case: "delta", value: { revision, items } })] : [];
}

type EventInit = NonNullable<Parameters<typeof create<typeof FollowResponseSchema>>[1]>["event"];

export const response = (event: NonNullable<EventInit>): FollowResponse => create(FollowResponseSchema, { event });
