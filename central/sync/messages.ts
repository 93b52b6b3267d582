// What central says to an agent about its partition: all of it, or what one revision changed.
import { create, toBinary } from "@bufbuild/protobuf";
import { MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import {
  type FollowRequest,
  type FollowResponse,
  FollowResponseSchema,
  ReportEntrySchema,
} from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { ChangeBatch } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
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
  const items = chunked(rows, ({ kind, row }) => desiredItem(kind, row.id, row.revision, row.value));
  for (const chunk of items) yield response({ case: "snapshotItems", value: { items: chunk } });
  yield response({ case: "snapshotEnd", value: { revision } });
}

/**
 * Every machine of the partition as it was last reported, for an agent whose outbox is not the one that reported it, or is behind
 * it. None for an agent that knows all that it ever said.
 */
export function* recollectionOf(
  state: State,
  { partition, outbox, sequence }: Pick<FollowRequest, "partition" | "outbox" | "sequence">,
): Generator<FollowResponse> {
  const taken = state.get(kinds.reportCursor, partition)?.value;
  // An agent of before this message says nothing of its outbox.
  if (taken === undefined || outbox === "" || (taken.outbox === outbox && taken.sequence <= sequence)) return;
  const machines = state.list(kinds.machineObserved, (m) => m.partition === partition);
  const entries = chunked(machines, ({ id, value }) =>
    create(ReportEntrySchema, { kind: "machine", id, value: toBinary(MachineObservedSchema, value) }),
  );
  for (const chunk of entries) yield response({ case: "recollection", value: { entries: chunk } });
}

/** In their order, as many at a time as a message may have. Each is made when its turn comes, so that only one chunk is in memory. */
function* chunked<R, T extends { readonly value: Uint8Array }>(
  rows: readonly R[],
  make: (row: R) => T,
): Generator<T[]> {
  let chunk: T[] = [];
  let bytes = 0;
  for (const row of rows) {
    const item = make(row);
    if (chunk.length > 0 && (chunk.length >= chunkLimits.items || bytes + item.value.length > chunkLimits.bytes)) {
      yield chunk;
      [chunk, bytes] = [[], 0];
    }
    chunk.push(item);
    bytes += item.value.length;
  }
  if (chunk.length > 0) yield chunk;
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
