import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { create, fromBinary } from "@bufbuild/protobuf";
import { differingKinds, digestItems } from "#domain/sync/item-digest.ts";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import {
  type DesiredItem,
  DesiredItemSchema,
  FollowRequestSchema,
  type FollowResponse,
} from "#gen/holdfast/sync/v1/sync_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { HistoryChanged } from "../store/follower.ts";
import { kinds } from "../store/kinds.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { openState, type State } from "../store/state.ts";
import { machineUuid } from "../testing/machines.ts";
import { CentralSession } from "./central-session.ts";
import { Connections } from "./connections.ts";
import { SyncFeed } from "./feed.ts";
import { type FollowPorts, followPartition } from "./follow.ts";
import { chunkLimits } from "./messages.ts";
import { takers } from "./take-entry.ts";

const keptMax = 100;

let clock: VirtualClock;
let state: State;
let ports: FollowPorts;
let stop: AbortController;
beforeEach(async () => {
  stop = new AbortController();
  setMaxListeners(0, stop.signal); // some tests have many streams
  clock = new VirtualClock();
  state = await openState({ store: new MemoryStore({ clock, random }), clock, random, log }, stop.signal);
  const feed = new SyncFeed(state, clock, keptMax);
  void feed.run(stop.signal);
  ports = { state, feed, connections: new Connections(clock, log), session: newSession(), takers, clock, random, log };
  await putPartition("p1");
  await putPartition("p2");
});
afterEach(async () => {
  stop.abort();
  await state.close();
});

const newSession = () => new CentralSession({ state, clock, random, version: "v1" });
const putPartition = (id: string) =>
  state.transact((tx) => tx.put(kinds.partition, id, create(PartitionSchema, { id })));
const putSize = (id: string, name = id) =>
  state.transact((tx) => tx.put(kinds.size, id, create(SizeSchema, { id, name })));
const putMachine = (n: number, partition: string, more: object = {}) =>
  state.transact((tx) => {
    const uuid = machineUuid(n);
    tx.put(kinds.machineDesired, uuid, create(MachineDesiredSchema, { uuid, partition, ...more }));
  });
const follow = (request: object = {}, signal = stop.signal) =>
  followPartition(ports, create(FollowRequestSchema, { partition: "p1", agent: "a", ...request }), signal);

/** "begin", "items 3", "end", "delta size/s", "delta -size/s", "beat 7" */
function text({ event }: FollowResponse): string {
  switch (event.case) {
    case "snapshotBegin":
      return "begin";
    case "snapshotItems":
      return `items ${event.value.items.length}`;
    case "snapshotEnd":
      return "end";
    case "delta":
      return `delta ${event.value.items.map((i) => `${i.deleted ? "-" : ""}${i.kind}/${i.id}`).join(" ")}`;
    default:
      return "beat";
  }
}
/** Of a snapshot or a delta. */
function itemsOf({ event }: Pick<FollowResponse, "event">): readonly DesiredItem[] {
  if (event.case === "snapshotItems") return event.value.items.map((bytes) => fromBinary(DesiredItemSchema, bytes));
  return event.case === "delta" ? event.value.items : [];
}
const next = async (stream: AsyncIterator<FollowResponse>) => text((await stream.next()).value as FollowResponse);
async function untilBeat(stream: AsyncIterator<FollowResponse>): Promise<string[]> {
  const seen: string[] = [];
  while (seen.at(-1) !== "beat") seen.push(await next(stream));
  return seen;
}
const turns = async () => {
  for (let i = 0; i < 5; i++) await turn();
};

describe("a snapshot", () => {
  test("comes in chunks by number and by bytes, and has the partition's items alone", async () => {
    const count = chunkLimits.items + 1;
    for (let from = 0; from < count; from += 100) {
      await state.transact((tx) => {
        for (let i = from; i < Math.min(count, from + 100); i++) {
          tx.put(kinds.size, `s${i}`, create(SizeSchema, { id: `s${i}` }));
        }
      });
    }
    await putMachine(1, "p1");
    await putMachine(2, "p2");
    assert.deepEqual(await untilBeat(follow()), ["begin", `items ${chunkLimits.items}`, "items 3", "end", "beat"]);
    const large = "x".repeat(chunkLimits.bytes / 2);
    for (const id of ["s0", "s1"]) await putSize(id, large);
    assert.deepEqual(await untilBeat(follow()), ["begin", "items 2", "items 500", "items 1", "end", "beat"]);
  });

  test("is of the revision that it says, whatever happens while it is sent", async () => {
    await putSize("s", "before");
    const stream = follow();
    const begin = (await stream.next()).value as FollowResponse;
    await putSize("s", "after");
    const items = (await stream.next()).value as FollowResponse;
    assert.ok(begin.event.case === "snapshotBegin" && items.event.case === "snapshotItems");
    const { revision } = begin.event.value;
    assert.ok(itemsOf(items).every((i) => i.revision <= revision));
    assert.deepEqual(await untilBeat(stream), ["end", "beat"]);
    assert.equal(await next(stream), "delta size/s");
  });
});

describe("an agent that comes back", () => {
  test("gets a snapshot when it says that it has nothing, though all that ever was is held", async () => {
    assert.equal(await next(follow({ history: state.history, afterRevision: 0n })), "begin");
  });

  test("gets what it missed, or a snapshot when that is not held any more, or of another history", async () => {
    const { history, revision: afterRevision } = state;
    await putSize("a");
    await turns();
    assert.deepEqual(await untilBeat(follow({ history, afterRevision })), ["delta size/a", "beat"]);
    assert.equal(await next(follow({ history: "another", afterRevision })), "begin");
    for (let i = 0; i < keptMax; i++) await putSize("a", `${i}`);
    await turns();
    assert.equal(await next(follow({ history, afterRevision })), "begin");
    assert.equal(await next(follow({ history, afterRevision: state.revision - 5n })), "delta size/a");
  });

  test("is not kept waiting by reports, of which the feed holds nothing", async () => {
    const { history, revision: afterRevision } = state;
    await putSize("a");
    for (let i = 0; i <= keptMax; i++) {
      await state.transact((tx) =>
        tx.put(kinds.machineObserved, machineUuid(1), create(MachineObservedSchema, { rack: `${i}` })),
      );
    }
    await turns();
    assert.deepEqual(await untilBeat(follow({ history, afterRevision })), ["delta size/a", "beat"]);
  });
});

describe("a live stream", () => {
  /** Seconds at which each stream beats, from now on. */
  const beatsOf = (streams: readonly AsyncIterator<FollowResponse>[], beganMs = clock.monotonicMs()) =>
    streams.map((stream) => {
      const seconds: number[] = [];
      const read = async (): Promise<void> => {
        const { value } = await stream.next();
        if (value?.event.case === "heartbeat") seconds.push((clock.monotonicMs() - beganMs) / 1_000);
        if (value) await read();
      };
      void read().catch(() => {});
      return seconds;
    });

  test("beats within five seconds of its last word, also while there is much to do elsewhere", async () => {
    const stream = follow();
    await untilBeat(stream);
    const [beats = []] = beatsOf([stream]);
    for (let second = 0; second < 20; second++) {
      await putMachine(2, "p2", { epoch: BigInt(second) });
      clock.advance(1_000);
      await turns();
    }
    const silences = beats.map((second, i) => second - (beats[i - 1] ?? 0));
    assert.ok(beats.at(-1)! >= 15);
    assert.ok(
      silences.every((seconds) => seconds > 3 && seconds <= 5),
      `${silences}`,
    );
  });

  test("does not beat at the same time as all others that were told of the same change", async () => {
    const streams = Array.from({ length: 40 }, () => follow());
    for (const stream of streams) await untilBeat(stream);
    const beats = beatsOf(streams);
    await putSize("shared");
    await turns();
    for (let tenths = 0; tenths < 60; tenths++) {
      clock.advance(100);
      await turns();
    }
    const firsts = beats.map(([first = 0]) => first);
    assert.ok(new Set(firsts).size > 5, `${firsts}`);
    assert.ok(Math.max(...firsts) <= 5, `${firsts}`);
  });

  test("tells what the agent must hold a minute after it came and every ten minutes, when nothing is on its way", async () => {
    await putMachine(1, "p1");
    await putMachine(2, "p2");
    const stream = follow();
    const items: DesiredItem[] = [];
    const digests: [number, bigint, readonly string[]][] = [];
    const beganMs = clock.monotonicMs();
    const reading = (async () => {
      for await (const { event } of stream) {
        items.push(...itemsOf({ event }));
        if (event.case !== "digest") continue;
        const held = new Map(items.map((i) => [`${i.kind}/${i.id}`, i]));
        const told = new Map(event.value.kinds.map(({ kind, ...sum }) => [kind, sum]));
        const differ = differingKinds(digestItems(held.values()), told);
        digests.push([clock.monotonicMs() - beganMs, event.value.revision, differ]);
      }
    })().catch(() => {});
    for (let second = 0; second < 700; second++) {
      if (second === 300) await putMachine(1, "p1", { epoch: 2n });
      clock.advance(1_000);
      await turns();
    }
    assert.deepEqual(
      digests.map(([atMs]) => Math.round(atMs / 60_000)),
      [1, 11],
    );
    assert.deepEqual(
      digests.map(([, , differ]) => differ),
      [[], []],
    );
    assert.ok((digests[1]?.[1] ?? 0n) > (digests[0]?.[1] ?? 0n));
    stop.abort();
    await reading;
  });

  test("names no revision in a heartbeat whose changes it has not sent", async () => {
    const stream = follow();
    await stream.next();
    const { revision } = state;
    await putSize("late");
    const seen: FollowResponse[] = [];
    while (seen.at(-1)?.event.case !== "heartbeat") seen.push((await stream.next()).value as FollowResponse);
    const beat = seen.at(-1)?.event;
    assert.equal(beat?.case === "heartbeat" && beat.value.revision, revision);
  });

  test("tells of a machine that leaves the partition as of one that is gone", async () => {
    await putMachine(1, "p1");
    const stream = follow();
    await untilBeat(stream);
    await putMachine(1, "p2");
    assert.equal(await next(stream), `delta -machine/${machineUuid(1)}`);
  });

  test("leaves nothing behind when its reader goes, at whatever point", async () => {
    await putSize("a");
    for (let read = 1; read <= 5; read++) {
      const reader = new AbortController();
      const stream = follow({}, reader.signal);
      for (let i = 0; i < Math.min(read, 4); i++) await stream.next();
      const waiting = read === 5 ? stream.next() : undefined;
      assert.equal(ports.connections.isUp("p1"), true);
      reader.abort();
      await turns();
      assert.equal(ports.connections.isUp("p1"), false, `after ${read} messages`);
      assert.equal((await (waiting ?? stream.return(undefined))).done, true);
    }
    assert.equal(state.get(kinds.agentLife, "p1"), undefined);
    // The store sleeps once more for what was claimed; a stream that was left would sleep on and on.
    clock.advance(60_000);
    await turns();
    assert.equal(clock.nextMs, undefined, "nobody sleeps any more");
  });

  test("claims its partition in the store, so that no other agent follows at another central of it, and gives it back", async () => {
    const other = { ...ports, connections: new Connections(clock, log), session: newSession() };
    const elsewhere = (agent: string, signal: AbortSignal) =>
      followPartition(other, create(FollowRequestSchema, { partition: "p1", agent }), signal);
    const [mine, theirs] = [new AbortController(), new AbortController()];
    const stream = follow({}, mine.signal);
    await untilBeat(stream);
    await assert.rejects(elsewhere("b", theirs.signal).next(), /another agent is connected .*life a/);
    const moved = elsewhere("a", theirs.signal);
    await untilBeat(moved);
    mine.abort();
    await turns();
    assert.equal(state.get(kinds.agentLife, "p1")?.value.agent, "a", "the life has only moved");
    theirs.abort();
    await turns();
    assert.equal(state.get(kinds.agentLife, "p1"), undefined);
    await untilBeat(elsewhere("b", stop.signal));
  });

  test("is not kept out by what another life at the same central could not give back", async () => {
    const mine = new AbortController();
    const stream = follow({}, mine.signal);
    await untilBeat(stream);
    const claimed = state.get(kinds.agentLife, "p1")!.value;
    mine.abort();
    await turns();
    // As from a restored store.
    await state.transact((tx) => tx.put(kinds.agentLife, "p1", claimed));
    assert.ok(state.get(kinds.centralSession, claimed.session));
    await untilBeat(follow({ agent: "b" }));
    assert.equal(state.get(kinds.agentLife, "p1")?.value.agent, "b");
  });

  test("loses its claim when its central's session has ended, and says so when another agent has taken its place", async () => {
    const other = { ...ports, connections: new Connections(clock, log), session: newSession() };
    const stream = follow();
    await untilBeat(stream);
    // This central is held up for a minute, as by a pause of its process; nothing of it renews anything.
    clock.advance(60_000);
    await turns();
    const theirs = followPartition(other, create(FollowRequestSchema, { partition: "p1", agent: "b" }), stop.signal);
    await untilBeat(theirs);
    await assert.rejects(async () => {
      for (;;) await stream.next();
    }, /another agent is connected .*life b/);
  });

  test("renews one session for all agents, and nothing else in the store, however long they follow", async () => {
    const streams = [follow(), follow({ partition: "p2" })];
    for (const stream of streams) await untilBeat(stream);
    const { revision } = state;
    for (let second = 0; second < 60; second += 5) {
      const beats = streams.map(untilBeat);
      await turns();
      clock.advance(5_000);
      await Promise.all(beats);
    }
    assert.ok(state.get(kinds.centralSession, ports.session.id));
    assert.ok(state.revision - revision <= 12n, `${state.revision - revision} commits in a minute`);
  });

  test("ends when the partition is deleted, after saying so", async () => {
    const stream = follow();
    await untilBeat(stream);
    await state.transact((tx) => tx.delete(kinds.partition, "p1"));
    assert.equal(await next(stream), "delta -partition/p1");
    await assert.rejects(stream.next(), /partition p1 does not exist/);
    assert.equal(ports.connections.isUp("p1"), false);
    await assert.rejects(follow().next(), /partition p1 does not exist/);
  });

  test("ends where the feed begins anew, as after a restore: the agent comes again", async () => {
    const { history } = state;
    const restoring = new AbortController();
    const broken = {
      ...state,
      history,
      revision: state.revision,
      changes: () => ({
        [Symbol.asyncIterator]: () => ({
          next: () =>
            new Promise((_, reject) => {
              restoring.signal.addEventListener("abort", () => reject(new HistoryChanged("old", "new")));
            }),
        }),
      }),
    } as unknown as State;
    const feed = new SyncFeed(broken, clock);
    void feed.run(stop.signal);
    const stream = followPartition(
      { ...ports, feed },
      create(FollowRequestSchema, { partition: "p1", agent: "a" }),
      stop.signal,
    );
    await untilBeat(stream);
    const ended = stream.next();
    restoring.abort();
    await assert.rejects(ended, /the stream cannot go on, call again: central begins its feed anew/);
    assert.equal(ports.connections.isUp("p1"), false);
  });

  test("ends with the state, which ends the feed", async () => {
    const closing = follow();
    await untilBeat(closing);
    const ended = closing.next();
    await state.close();
    await assert.rejects(ended, /call again/);
    assert.equal(ports.connections.isUp("p1"), false);
  });

  test("that is slower than the changes is ended, and its agent comes again", async () => {
    const stream = follow();
    await untilBeat(stream);
    for (let i = 0; i <= keptMax; i++) await putSize("a", `${i}`);
    await turns();
    await assert.rejects(async () => {
      for await (const _ of stream);
    }, /call again/);
  });
});
