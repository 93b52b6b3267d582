// holdfast.api.v1.WatchService: what there is, and every change of it, to everybody what they may see.
import type { HandlerContext } from "@connectrpc/connect";
import type { Position } from "#gen/holdfast/api/v1/thing_pb.ts";
import {
  WatchService,
  type WatchServiceWatchRequest,
  type WatchServiceWatchResponse,
} from "#gen/holdfast/api/v1/watch_pb.ts";
import { rung } from "#lib/bell.ts";
import type { Clock } from "#lib/clock.ts";
import { linkedSignal } from "#lib/linked-signal.ts";
import { type Caller, callerOf } from "../access/caller.ts";
import type { WhoCalls } from "../identity/who-calls.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { candidates } from "../things/candidates.ts";
import type { ThingKind } from "../things/kinds.ts";
import { checkOpen, isMeant, type Question, questionOf, thingFor, thingKey } from "../things/question.ts";
import { Sight } from "../things/sight.ts";
import type { Watcher, WatchFeed } from "./feed.ts";
import { bookmark, type Shown, shownBefore, tell } from "./tell.ts";

export interface WatchPorts {
  readonly state: State;
  readonly clock: Clock;
  readonly watchFeed: WatchFeed;
  /** Login of the tenant whose members see everything. */
  readonly provider: string;
  readonly whoCalls: WhoCalls;
}

/** How often a stream on which nothing happens says so. */
export const heartbeatMs = 10_000;

export const watchService = (ports: WatchPorts): Implementation =>
  implement(WatchService, { watch: (request, context) => watch(ports, request, context) });

async function* watch(
  ports: WatchPorts,
  { kinds: names, query, after }: WatchServiceWatchRequest,
  context: HandlerContext,
): AsyncGenerator<WatchServiceWatchResponse> {
  const { state, clock, watchFeed, whoCalls } = ports;
  const question = questionOf(names, query);
  const look = async () => {
    const caller = await whoCalls(context);
    checkOpen(question, caller);
    return new Sight(caller, question.project);
  };
  let sight = await look();
  const caller = callerOf(context);
  const shown: Shown = new Map();
  const own = linkedSignal(context.signal);
  const watcher = watchFeed.open(question, caller);
  try {
    if (after === undefined) beginAll(state, question, watcher);
    else resume({ ...ports, question, caller, sight, watcher, shown }, after);
    let toldAt = after?.revision ?? -1n;
    let isBeat = after !== undefined;
    while (!own.signal.aborted) {
      if (watcher.takeMoved()) {
        sight = await look();
        beginAll(state, question, watcher);
      }
      const named = watcher.take();
      if (named !== undefined) {
        const event = tell(shown, named, thingFor(state, question, sight, named));
        if (event !== undefined) yield event;
        continue;
      }
      if (isBeat || watcher.revision > toldAt) {
        toldAt = watcher.revision > toldAt ? watcher.revision : toldAt;
        isBeat = false;
        yield bookmark(state.history, toldAt);
      }
      if (!watcher.isIdle) continue;
      await rung(watcher.bell, clock, heartbeatMs, own.signal);
      isBeat = watcher.isIdle;
      // A token that has ended, been revoked or lost a right ends the stream, or what it shows.
      if (!own.signal.aborted) sight = await look();
    }
  } finally {
    watcher.close();
    own.abort(new Error("the stream has ended"));
    own.unlink();
  }
}

/** Lets everything be looked at: what the reader holds already is not told again, what it may not see any more is taken away. */
function beginAll(state: State, question: Question, watcher: Watcher): void {
  for (const [kind, id] of rowsOf(state, question)) {
    watcher.begin({ key: thingKey(kind, id), kind, id, revision: state.revision });
  }
}

function* rowsOf(state: State, question: Question): Generator<readonly [ThingKind, string]> {
  for (const kind of question.kinds) for (const { id } of candidates(state, question, kind)) yield [kind, id];
}

interface Resumed extends WatchPorts {
  readonly question: Question;
  readonly caller: Caller;
  readonly sight: Sight;
  readonly watcher: Watcher;
  readonly shown: Shown;
}

/** The reader holds what it may see, as it was at that revision. What has changed since is looked at. */
function resume({ question, caller, sight, watcher, shown, ...ports }: Resumed, after: Position): void {
  const { state, watchFeed } = ports;
  const { changes, gained } = watchFeed.since(after, caller);
  const isGained = gainedBy(gained, ports);
  for (const [kind, id] of rowsOf(state, question)) {
    const thing = thingFor(state, question, sight, { kind, id });
    const key = thingKey(kind, id);
    if (thing === undefined) continue;
    if (isGained(kind, id)) watcher.begin({ key, kind, id, revision: thing.revision });
    else shown.set(key, thing.revision);
  }
  for (const { key, kind, id, revision, owners } of changes) {
    if (!question.kinds.includes(kind) || question.ids?.has(id) === false) continue;
    watcher.begin({ key, kind, id, revision });
    // Whether it fitted the query then is not known: telling of what the reader does not hold that it is gone does no harm.
    const wasSeen = owners.some(
      ({ about, until }) => until > after.revision && isMeant(state, question, kind, about) && sight.sees(kind, about),
    );
    if (wasSeen || shown.has(key)) shown.set(key, shownBefore);
  }
}

/** Whether a thing belongs to those whose member the reader has become, and may not have been seen before. */
function gainedBy(
  gained: readonly string[],
  { state, provider }: WatchPorts,
): (kind: ThingKind, id: string) => boolean {
  if (gained.length === 0) return () => false;
  if (gained.includes(provider)) return () => true;
  return (kind, id) => {
    const row = state.get(kind.kind, id);
    if (row === undefined) return false;
    const { project, tenant } = kind.about(row.value, id);
    const owner = state.get(kinds.project, project)?.value.tenant ?? "";
    return [project, tenant, owner].some((one) => one !== "" && gained.includes(one));
  };
}
