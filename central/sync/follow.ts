import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type FollowRequest, type FollowResponse, FollowResponseSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import type { ChangeBatch } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { SyncBacklog } from "./backlog.ts";
import type { Connections } from "./connections.ts";
import { concerns, desiredItem, followed } from "./projection.ts";

/** An agent takes central for gone after four of these without a word. */
const heartbeatMs = 5_000;
const snapshotChunk = 500;

export interface FollowPorts {
  readonly state: State;
  readonly backlog: SyncBacklog;
  readonly connections: Connections;
  readonly clock: Clock;
  readonly log: Log;
}

/** The desired state of one partition, for as long as the agent listens. */
export async function* followPartition(
  ports: FollowPorts,
  request: FollowRequest,
  signal: AbortSignal,
): AsyncGenerator<FollowResponse> {
  const { state, connections, log } = ports;
  const { partition } = request;
  if (!state.get(kinds.partition, partition)) {
    throw new Refusal("not-found", `partition ${partition} does not exist: create it before its agent connects`);
  }
  const ended = new AbortController();
  const changes = state.changes(AbortSignal.any([signal, ended.signal]));
  const leave = connections.enter(partition, request.agent);
  try {
    const revision = state.revision;
    const missed =
      request.history === state.history ? ports.backlog.between(request.afterRevision, revision) : undefined;
    log.info("agent-follows", {
      partition,
      agent: request.agent,
      from: missed ? `${request.afterRevision}` : "snapshot",
    });
    if (missed) for (const batch of missed) yield* deltaOf(batch, partition);
    else yield* snapshotOf(state, partition, revision);
    yield heartbeat(ports, state.revision);
    yield* live(ports, changes, partition, revision, signal);
  } finally {
    ended.abort();
    leave();
    log.info("agent-left", { partition, agent: request.agent });
  }
}

function* snapshotOf(state: State, partition: string, revision: bigint): Generator<FollowResponse> {
  yield response({ case: "snapshotBegin", value: { history: state.history, revision } });
  // Taken whole before the first pause: a list read later would be of a later revision.
  const rows = followed.flatMap((kind) =>
    state
      .list(kind)
      .filter((row) => concerns(kind, row.id, row.value, partition))
      .map((row) => ({ kind, row })),
  );
  for (let i = 0; i < rows.length; i += snapshotChunk) {
    const items = rows
      .slice(i, i + snapshotChunk)
      .map(({ kind, row }) => desiredItem(kind, row.id, row.revision, row.value));
    yield response({ case: "snapshotItems", value: { items } });
  }
  yield response({ case: "snapshotEnd", value: { revision } });
}

async function* live(
  ports: FollowPorts,
  changes: AsyncIterable<ChangeBatch>,
  partition: string,
  after: bigint,
  signal: AbortSignal,
): AsyncGenerator<FollowResponse> {
  const iterator = changes[Symbol.asyncIterator]();
  let revision = after;
  let next = iterator.next();
  while (!signal.aborted) {
    const tick = new AbortController();
    const beat = ports.clock.sleep(heartbeatMs, tick.signal).then(
      () => "beat" as const,
      () => "beat" as const,
    );
    const came = await Promise.race([next, beat]);
    tick.abort();
    if (came === "beat") {
      yield heartbeat(ports, revision);
      continue;
    }
    if (came.done) return;
    next = iterator.next();
    next.catch(() => {}); // awaited in the next round, or dropped with the stream
    if (came.value.revision <= revision) continue;
    revision = came.value.revision;
    yield* deltaOf(came.value, partition);
  }
}

function* deltaOf(batch: ChangeBatch, partition: string): Generator<FollowResponse> {
  const items = batch.changes.flatMap(({ kind, id, value, before }) => {
    if (value !== undefined && concerns(kind, id, value, partition))
      return [desiredItem(kind, id, batch.revision, value)];
    if (before !== undefined && concerns(kind, id, before, partition))
      return [desiredItem(kind, id, batch.revision, undefined)];
    return [];
  });
  if (items.length > 0) yield response({ case: "delta", value: { revision: batch.revision, items } });
}

const heartbeat = ({ clock }: FollowPorts, revision: bigint): FollowResponse =>
  response({ case: "heartbeat", value: { revision, time: timestampFromMs(clock.wallMs()) } });

type EventInit = NonNullable<Parameters<typeof create<typeof FollowResponseSchema>>[1]>["event"];

const response = (event: NonNullable<EventInit>): FollowResponse => create(FollowResponseSchema, { event });
