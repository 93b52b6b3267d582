import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Position } from "#gen/holdfast/api/v1/thing_pb.ts";
import { WatchService } from "#gen/holdfast/api/v1/watch_pb.ts";
import { systemRandom } from "#lib/io/system-random.ts";
import { hasReason } from "#lib/rpc/refusal-to-connect.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { whoCalls } from "../identity/who-calls.ts";
import { HistoryChanged } from "../store/follower.ts";
import { kinds } from "../store/kinds.ts";
import { MemoryStore } from "../store/memory-store.ts";
import type { State } from "../store/state.ts";
import { type TestCentral, testCentral } from "../testing/central.ts";
import { questionOf } from "../things/question.ts";
import { WatchFeed } from "./feed.ts";
import { watchService } from "./service.ts";
import { WatchReader } from "./testing/reader.ts";

const refusedFor = (code: Code, reason: string) => (error: unknown) =>
  error instanceof ConnectError && error.code === code && hasReason(error, reason);

test("a reader that is too far behind is told to begin anew", async () => {
  const stop = new AbortController();
  const small = await testCentral(({ state, clock, identity }) => {
    const watchFeed = new WatchFeed(state, 5);
    void watchFeed.run(stop.signal);
    return [
      watchService({ state, clock, watchFeed, provider: "provider", whoCalls: whoCalls({ state, clock, identity }) }),
    ];
  });
  const images = new WatchReader(small.client(WatchService).watch({ kinds: ["image"] }, { signal: stop.signal }));
  await images.toBookmark();
  await small.state.transact((tx) => {
    for (let i = 0; i < 20; i++) tx.put(kinds.image, `i-${i}`, anImage(`i-${i}`));
  });
  await assert.rejects(
    async () => {
      for (;;) await images.next();
    },
    refusedFor(Code.Aborted, "WATCH_TOO_SLOW"),
  );
  stop.abort();
  await small.close();
});

test("a bookmark of one central is good at another of the same store", async () => {
  const clock = new VirtualClock();
  const store = new MemoryStore({ clock, random: systemRandom });
  const stop = new AbortController();
  const open = () =>
    testCentral(
      ({ state, identity }) => {
        const watchFeed = new WatchFeed(state);
        void watchFeed.run(stop.signal);
        return [
          watchService({
            state,
            clock,
            watchFeed,
            provider: "provider",
            whoCalls: whoCalls({ state, clock, identity }),
          }),
        ];
      },
      { store, clock },
    );
  const [one, other] = [await open(), await open()];
  const reader = ({ client }: TestCentral, after?: Position) =>
    new WatchReader(
      client(WatchService, one.adminToken).watch(
        { kinds: ["image"], ...(after && { after }) },
        { signal: stop.signal },
      ),
    );
  const here = reader(one);
  await here.toBookmark();
  await other.state.transact((tx) => tx.put(kinds.image, "i", anImage("i")));
  const there = reader(other, here.position);
  assert.deepEqual(await there.toBookmark(), ["put image i"]);
  stop.abort();
  await one.close();
  await other.close();
});

test("a restored store ends all streams", async () => {
  const ended: (() => void)[] = [];
  const changes = async function* () {
    yield* [];
    await new Promise<void>((resolve) => ended.push(resolve));
    throw new HistoryChanged("before", "now");
  };
  const get = () => undefined;
  const feed = new WatchFeed({ history: "before", revision: 1n, changes, get } as unknown as State); // all that a feed asks of a state
  const stop = new AbortController();
  void feed.run(stop.signal);
  const watcher = feed.open(questionOf([], undefined), { user: "ann", token: "" });
  await turn();
  stop.abort();
  ended[0]?.();
  await watcher.bell.wait(new AbortController().signal, () => !watcher.isIdle);
  assert.throws(() => watcher.take(), { code: "conflict", reason: "HISTORY_CHANGED" });
});

test("one user may have 64 streams", async () => {
  const central = await testCentral();
  const feed = new WatchFeed(central.state);
  const open = (user: string) => feed.open(questionOf([], undefined), { user, token: "" });
  const streams = Array.from({ length: 64 }, () => open("ann"));
  assert.throws(() => open("ann"), { code: "exhausted", reason: "WATCHES_OPEN" });
  open("bob");
  streams[0]?.close();
  open("ann");
  await central.close();
});

const anImage = (id: string) => create(kinds.image.schema, { id });
