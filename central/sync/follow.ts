import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { DesiredItem, FollowRequest, FollowResponse } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { linkedSignal } from "#lib/linked-signal.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import type { SendNow } from "#lib/rpc/send-now.ts";
import { sometimes } from "#lib/sometimes.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { CentralSession } from "./central-session.ts";
import { checkEveryMs, LifeClaim } from "./claim-life.ts";
import type { Connections } from "./connections.ts";
import type { Reader, SyncFeed } from "./feed.ts";
import { bytesOf, deltaOf, digestOf, mayHaveForgotten, recollectionOf, response, snapshotOf } from "./messages.ts";
import type { Takers } from "./took.ts";

/** An agent is told this often what it must hold, so that it finds out what it has lost or never got. */
const digestEveryMs = 600_000;
const firstDigestMs = 60_000;
/** From this protocol on, an agent reports every 10 s at least. */
const beatingProtocol = 2;
/** Longest silence on a stream. An agent takes central for gone after four of these without a word. */
const heartbeatMs = 5_000;
/** Of it, up to so much is left out by chance: all that were told of one change at once must not be due at once again. */
const earlierMs = 2_000;

export interface FollowPorts {
  readonly state: State;
  readonly feed: SyncFeed;
  readonly connections: Connections;
  readonly session: CentralSession;
  readonly takers: Takers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** The short way to an agent, past what stands between a handler and the connection. */
export interface Straight {
  /** Throws when the agent may not have any more. */
  readonly stillAllowed: () => Promise<void>;
  readonly send: SendNow | undefined;
}

/**
 * The desired state of one partition, for as long as the agent listens.
 * @throws Refusal "not-found" when the partition is not there or goes away, "unavailable" when the feed begins anew, or while the store
 * cannot be asked what this life of the agent may have forgotten
 */
export async function* followPartition(
  ports: FollowPorts,
  request: FollowRequest,
  signal: AbortSignal,
  straight?: Straight,
): AsyncGenerator<FollowResponse> {
  const { state, feed, random, log } = ports;
  const { partition, agent } = request;
  if (!state.get(kinds.partition, partition)) throw noPartition(partition);
  const own = linkedSignal(signal);
  const left = entered(ports, request, (why) => own.abort(why));
  const claim = new LifeClaim(ports, request, random.uuid());
  const leave = () => {
    if (left()) claim.leave();
  };
  // Whoever reads this stream may go without asking for more: then only the signal tells.
  own.signal.addEventListener("abort", leave, { once: true });
  try {
    if (!(await claim.claim()) && mayHaveForgotten(state, request)) throw notCurrent(state, partition);
    const { history, afterRevision } = request;
    const resumed = feed.holdsSince(history, afterRevision) ? feed.open(partition, afterRevision) : undefined;
    log.info("agent-follows", { partition, agent, from: resumed ? `${afterRevision}` : "snapshot" });
    for (const message of recollectionOf(state, request)) {
      sometimes(log, "central gave an agent back what it had forgotten");
      yield message;
    }
    const reader = resumed ?? feed.open(partition, state.revision);
    const present = resumed ? feed.revision : reader.at;
    if (resumed) sometimes(log, "an agent went on where it had stopped");
    else yield* snapshotOf(state, partition);
    yield* live(ports, reader, { partition, agent, present, claim, straight, signal: own.signal });
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
): () => boolean {
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
  /** Up to where the agent is behind when it comes. */
  readonly present: bigint;
  readonly claim: LifeClaim;
  readonly straight: Straight | undefined;
  readonly signal: AbortSignal;
}

/** What is missing until now, then a heartbeat, then what comes, with heartbeats in between. */
async function* live(
  ports: FollowPorts,
  reader: Reader,
  { partition, agent, present, claim, straight, signal }: LiveStream,
): AsyncGenerator<FollowResponse> {
  const { state, clock, random, connections } = ports;
  // Since the last word to this agent, not since the last change: what happens elsewhere is no word.
  let spokeMs = clock.monotonicMs();
  let silenceMs = heartbeatMs;
  const spoke = (): void => {
    spokeMs = clock.monotonicMs();
    silenceMs = heartbeatMs - random.below(earlierMs);
  };
  let digestMs = spokeMs + firstDigestMs;
  let claimMs = spokeMs + checkEveryMs;
  // One alarm for many changes: to set one for each costs more than to send it.
  let isSet = false;
  const setAlarm = (ms: number): void => {
    if (isSet) return;
    isSet = true;
    const ring = () => {
      isSet = false;
      reader.bell.ring();
    };
    clock.sleep(ms, signal).then(ring, () => {});
  };
  let isCurrent = false;
  while (!signal.aborted) {
    const next = isCurrent || reader.at < present ? reader.take() : undefined;
    const nowMs = clock.monotonicMs();
    if (nowMs >= claimMs) {
      claimMs = nowMs + checkEveryMs;
      await claim.claim();
    }
    if (next) {
      const delta = deltaOf(next);
      if (!(await isSent(straight, delta))) yield delta;
      spoke();
      if (next.items.some((item) => isPartition(item, partition) && item.deleted)) throw noPartition(partition);
    } else if (!isCurrent || nowMs - spokeMs >= silenceMs) {
      const takes = isCurrent ? [] : Object.keys(ports.takers);
      isCurrent ||= reader.at >= present;
      connections.cutSilent(partition, agent);
      // Only when nothing is on its way: the agent has been sent all that is digested.
      const isDigestDue = takes.length === 0 && nowMs >= digestMs && reader.at === state.revision;
      if (isDigestDue) digestMs = nowMs + digestEveryMs;
      const word = isDigestDue ? digestOf(state, partition) : heartbeat(ports, reader.at, takes);
      if (!(await isSent(straight, word))) yield word;
      spoke();
    } else {
      setAlarm(spokeMs + silenceMs - nowMs);
      await reader.bell.wait(signal);
    }
  }
}

/** Whether it went the short way; else it has to be yielded. */
async function isSent(straight: Straight | undefined, message: FollowResponse): Promise<boolean> {
  if (straight?.send === undefined) return false;
  await straight.stillAllowed();
  return straight.send(bytesOf(message));
}

const isPartition = ({ kind, id }: DesiredItem, partition: string): boolean =>
  kind === kinds.partition.name && id === partition;

const notCurrent = ({ revision }: FollowPorts["state"], partition: string) =>
  new Refusal(
    "unavailable",
    `partition ${partition}: what its agent has told cannot be looked up: this server reads at revision ${revision}, and the store may be further`,
  );

const noPartition = (partition: string) =>
  new Refusal("not-found", `partition ${partition} does not exist: create it before its agent connects`, {
    field: "partition",
  });

const heartbeat = ({ clock }: FollowPorts, revision: bigint, takes: string[]): FollowResponse =>
  response({ case: "heartbeat", value: { revision, time: timestampFromMs(clock.wallMs()), takes } });
