import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { FollowRequest, FollowResponse } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { Bell, rung } from "#lib/bell.ts";
import type { Clock } from "#lib/clock.ts";
import { linkedSignal } from "#lib/linked-signal.ts";
import type { Log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { sometimes } from "#lib/sometimes.ts";
import type { ChangeBatch } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { SyncBacklog } from "./backlog.ts";
import type { Connections } from "./connections.ts";
import { liveChanges } from "./live-changes.ts";
import { deltaOf, recollectionOf, response, snapshotOf } from "./messages.ts";

/** From this protocol on, an agent reports every 10 s at least. */
const beatingProtocol = 2;
/** Longest silence on a stream. An agent takes central for gone after four of these without a word. */
const heartbeatMs = 5_000;

export interface FollowPorts {
  readonly state: State;
  readonly backlog: SyncBacklog;
  readonly connections: Connections;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The desired state of one partition, for as long as the agent listens.
 * @throws Refusal "not-found" when the partition is not there or goes away, "unavailable" when the state ends the subscription
 */
export async function* followPartition(
  ports: FollowPorts,
  request: FollowRequest,
  signal: AbortSignal,
): AsyncGenerator<FollowResponse> {
  const { state, log } = ports;
  const { partition, agent } = request;
  if (!state.get(kinds.partition, partition)) throw noPartition(partition);
  const own = linkedSignal(signal);
  const leave = entered(ports, request, (why) => own.abort(why));
  const changes = liveChanges(state, own.signal);
  // Whoever reads this stream may go without asking for more: then only the signal tells.
  own.signal.addEventListener("abort", leave, { once: true });
  try {
    const { revision } = state;
    const missed =
      request.history === state.history ? ports.backlog.between(request.afterRevision, revision) : undefined;
    log.info("agent-follows", { partition, agent, from: missed ? `${request.afterRevision}` : "snapshot" });
    for (const message of recollectionOf(state, request)) {
      sometimes(log, "central gave an agent back what it had forgotten");
      yield message;
    }
    if (missed) {
      sometimes(log, "an agent went on where it had stopped");
      yield* missed.flatMap((batch) => deltaOf(batch, partition));
    } else yield* snapshotOf(state, partition);
    yield heartbeat(ports, revision);
    yield* live(ports, changes, { partition, agent, after: revision, signal: own.signal });
    // Ended by us: the agent is to hear why.
    if (own.signal.reason instanceof Refusal && !signal.aborted) throw own.signal.reason;
  } finally {
    own.abort(new Error("the stream has ended"));
    own.unlink();
    log.info("agent-left", { partition, agent });
  }
}

/** @throws Refusal for a clone, which is told here as well */
function entered(
  { connections, log }: FollowPorts,
  { partition, agent, protocol }: FollowRequest,
  cut: (why: Refusal) => void,
): () => void {
  try {
    return connections.enter(partition, { agent, beats: protocol >= beatingProtocol, cut });
  } catch (error) {
    log.warn("agent-refused", { partition, agent, error });
    throw error;
  }
}

interface LiveStream {
  readonly partition: string;
  readonly agent: string;
  readonly after: bigint;
  readonly signal: AbortSignal;
}

async function* live(
  ports: FollowPorts,
  changes: AsyncIterable<ChangeBatch>,
  { partition, agent, after, signal }: LiveStream,
): AsyncGenerator<FollowResponse> {
  const { clock, connections } = ports;
  const iterator = changes[Symbol.asyncIterator]();
  const came = new Bell();
  let next = watched(iterator.next(), came);
  let revision = after;
  // Since the last word to this agent, not since the last change: what happens elsewhere is no word.
  let spokeMs = clock.monotonicMs();
  while (!signal.aborted) {
    const leftMs = spokeMs + heartbeatMs - clock.monotonicMs();
    if (leftMs <= 0) {
      connections.cutSilent(partition, agent);
      yield heartbeat(ports, revision);
      spokeMs = clock.monotonicMs();
    } else if (next.outcome === undefined) {
      await rung(came, clock, leftMs, signal);
    } else {
      const result = next.outcome();
      if (result.done) return;
      next = watched(iterator.next(), came);
      const batch = result.value;
      if (batch.revision <= revision) continue;
      revision = batch.revision;
      for (const delta of deltaOf(batch, partition)) {
        yield delta;
        spokeMs = clock.monotonicMs();
      }
      if (isGone(batch, partition)) throw noPartition(partition);
    }
  }
}

const isGone = ({ changes }: ChangeBatch, partition: string): boolean =>
  changes.some((c) => c.kind.name === kinds.partition.name && c.id === partition && c.value === undefined);

const noPartition = (partition: string) =>
  new Refusal("not-found", `partition ${partition} does not exist: create it before its agent connects`, {
    field: "partition",
  });

const heartbeat = ({ clock }: FollowPorts, revision: bigint): FollowResponse =>
  response({ case: "heartbeat", value: { revision, time: timestampFromMs(clock.wallMs()) } });

/** What becomes of a promise, looked at without waiting for it: one that waits long is not waited for many times. */
function watched<T>(promise: Promise<T>, settled: Bell): { outcome: (() => T) | undefined } {
  const seen: { outcome: (() => T) | undefined } = { outcome: undefined };
  promise.then(
    (value) => {
      seen.outcome = () => value;
      settled.ring();
    },
    (error: unknown) => {
      seen.outcome = () => {
        throw error;
      };
      settled.ring();
    },
  );
  return seen;
}
