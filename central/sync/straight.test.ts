import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { create, fromBinary } from "@bufbuild/protobuf";
import { FollowRequestSchema, type FollowResponse, FollowResponseSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { kinds } from "../store/kinds.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { openState } from "../store/state.ts";
import { CentralSession } from "./central-session.ts";
import { Connections } from "./connections.ts";
import { SyncFeed } from "./feed.ts";
import { followPartition } from "./follow.ts";
import { takers } from "./take-entry.ts";

const text = ({ event }: FollowResponse): string =>
  event.case === "delta" ? event.value.items.map((i) => `${i.kind}/${i.id}`).join(" ") : `${event.case}`;

test("a live stream goes the short way, as long as there is room and the agent is allowed to", async () => {
  const [clock, stop] = [new VirtualClock(), new AbortController()];
  const state = await openState({ store: new MemoryStore({ clock, random }), clock, random, log }, stop.signal);
  const feed = new SyncFeed(state, clock);
  void feed.run(stop.signal);
  const session = new CentralSession({ state, clock, random, version: "v1" });
  const ports = { state, feed, connections: new Connections(clock, log), session, takers, clock, random, log };
  const putSize = async (id: string) => {
    await state.transact((tx) => tx.put(kinds.size, id, create(SizeSchema, { id })));
    for (let i = 0; i < 5; i++) await turn();
  };
  await state.transact((tx) => tx.put(kinds.partition, "p1", create(PartitionSchema, { id: "p1" })));

  const sent: string[] = [];
  const now = { isRoom: true, isAllowed: true };
  const stream = followPartition(ports, create(FollowRequestSchema, { partition: "p1", agent: "a" }), stop.signal, {
    stillAllowed: async () => {
      if (!now.isAllowed) throw new Refusal("denied", "revoked");
    },
    send: (bytes) => {
      if (now.isRoom) sent.push(text(fromBinary(FollowResponseSchema, bytes)));
      return now.isRoom;
    },
  });
  for (const part of ["snapshotBegin", "snapshotItems", "snapshotEnd"])
    assert.equal(text((await stream.next()).value as FollowResponse), part);
  const waits = stream.next();
  await putSize("a");
  clock.advance(5_000);
  await putSize("b");
  assert.deepEqual(sent, ["heartbeat", "size/a", "heartbeat", "size/b"]);

  now.isRoom = false;
  await putSize("c");
  assert.equal(text((await waits).value as FollowResponse), "size/c");

  now.isRoom = true;
  now.isAllowed = false;
  await putSize("d");
  await assert.rejects(stream.next(), /revoked/);
  assert.equal(sent.length, 4);
  stop.abort();
  await state.close();
});
