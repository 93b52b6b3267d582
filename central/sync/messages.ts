// What central says to an agent about its partition.
import { create, type Message, toBinary } from "@bufbuild/protobuf";
import { digestItems } from "#domain/sync/item-digest.ts";
import { type MachineObserved, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import {
  type DesiredItem,
  type FollowRequest,
  type FollowResponse,
  FollowResponseSchema,
  ReportEntrySchema,
} from "#gen/holdfast/sync/v1/sync_pb.ts";
import { machineIndexes } from "../machine/indexes.ts";
import type { Stored } from "../store/cache.ts";
import { type Kind, kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Revised } from "./feed.ts";
import { desiredItem, encodedItem, everywhere, followed, placesOf } from "./projection.ts";
import { isSetBack, livesProtocol } from "./set-back.ts";

/** Of one message of a snapshot; a single larger item goes alone. */
export const chunkLimits = { items: 500, bytes: 1 << 20 } as const;

/**
 * The partition's whole desired state at the state's present revision. It is taken at the first step: a list that was read after a
 * pause would be of a later revision than it says.
 */
export function* snapshotOf(state: State, partition: string): Generator<FollowResponse> {
  const { history, revision } = state;
  const sets = followed.map((kind) => ({ kind, rows: rowsOf(state, kind, partition) }));
  yield response({ case: "snapshotBegin", value: { history, revision } });
  for (const chunk of chunked(itemsOf(sets), (item) => item.length))
    yield response({ case: "snapshotItems", value: { items: chunk } });
  yield response({ case: "snapshotEnd", value: { revision } });
}

function* itemsOf(sets: readonly { readonly kind: Kind; readonly rows: readonly Stored<Message>[] }[]) {
  for (const { kind, rows } of sets) for (const row of rows) yield encodedItem(kind, row);
}

/** Machines are found by an index: there are many, and most are of other partitions. */
function rowsOf(state: State, kind: Kind, partition: string): readonly Stored<Message>[] {
  if (kind.name === kinds.machineDesired.name) return state.by(machineIndexes(state).byPartition, partition);
  return state.list(kind).filter(({ id, value }) => {
    const place = placesOf(kind, id, value);
    return place === everywhere || place === partition;
  });
}

/** Of what the partition's agent must hold at the state's present revision. */
export function digestOf(state: State, partition: string): FollowResponse {
  const items = followed.flatMap((kind) =>
    rowsOf(state, kind, partition).map((row) => desiredItem(kind, row.id, row.revision, row.value)),
  );
  const kinds = Array.from(digestItems(items), ([kind, sum]) => ({ kind, ...sum }));
  return response({ case: "digest", value: { revision: state.revision, kinds } });
}

/** Whether this life of the agent is, as far as is read here, not the one that has reported last. One of before the lives does not say. */
export const mayHaveForgotten = (
  state: Pick<State, "get">,
  { partition, agent, protocol }: Pick<FollowRequest, "partition" | "agent" | "protocol">,
): boolean => protocol >= livesProtocol && state.get(kinds.reportCursor, partition)?.value.agent !== agent;

/**
 * Every machine of the partition as it was last reported, for an agent whose outbox is not the one that reported it, or was set back
 * since. None for an agent that knows all that it ever said.
 */
export function* recollectionOf(state: State, request: FollowRequest): Generator<FollowResponse> {
  const { partition, outbox } = request;
  const taken = state.get(kinds.reportCursor, partition)?.value;
  // An agent of before this message says nothing of its outbox.
  if (taken === undefined || outbox === "") return;
  const outdatedOutbox = taken.outbox === outbox && isSetBack(taken, request) ? outbox : "";
  if (taken.outbox === outbox && outdatedOutbox === "") return;
  // Said before the first machine, and also when there is none.
  if (outdatedOutbox !== "") yield response({ case: "recollection", value: { outdatedOutbox } });
  const machines = state.list(kinds.machineObserved, (m) => m.partition === partition);
  for (const chunk of chunked(reportsOf(machines), (entry) => entry.value.length))
    yield response({ case: "recollection", value: { entries: chunk } });
}

function* reportsOf(machines: readonly Stored<MachineObserved>[]) {
  for (const { id, value } of machines)
    yield create(ReportEntrySchema, { kind: "machine", id, value: toBinary(MachineObservedSchema, value) });
}

const deltas = new WeakMap<readonly DesiredItem[], FollowResponse>();
const encodings = new WeakMap<FollowResponse, Uint8Array>();

/** What a revision changed. Made once of the same items, which are of one revision: a change of all goes to every agent. */
export function deltaOf({ revision, items }: Revised): FollowResponse {
  const known = deltas.get(items);
  if (known) return known;
  const delta = response({ case: "delta", value: { revision, items: [...items] } });
  deltas.set(items, delta);
  return delta;
}

/** Bytes of a message that is not changed any more, made once. */
export function bytesOf(message: FollowResponse): Uint8Array {
  const known = encodings.get(message);
  if (known) return known;
  const bytes = toBinary(FollowResponseSchema, message);
  encodings.set(message, bytes);
  return bytes;
}

/** In their order, as many at a time as a message may have. Each is asked for when its turn comes, so that only one chunk is in memory. */
function* chunked<T>(parts: Iterable<T>, bytesOf: (part: T) => number): Generator<T[]> {
  let chunk: T[] = [];
  let bytes = 0;
  for (const part of parts) {
    const more = bytesOf(part);
    if (chunk.length > 0 && (chunk.length >= chunkLimits.items || bytes + more > chunkLimits.bytes)) {
      yield chunk;
      [chunk, bytes] = [[], 0];
    }
    chunk.push(part);
    bytes += more;
  }
  if (chunk.length > 0) yield chunk;
}

type EventInit = NonNullable<Parameters<typeof create<typeof FollowResponseSchema>>[1]>["event"];

export const response = (event: NonNullable<EventInit>): FollowResponse => create(FollowResponseSchema, { event });
