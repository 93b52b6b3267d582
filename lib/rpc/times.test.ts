import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { ComponentServicePingRequestSchema } from "#gen/metalstack/infra/v2/component_pb.ts";
import { EventServiceSendRequestSchema } from "#gen/metalstack/infra/v2/event_pb.ts";
import { badTime } from "./times.ts";

const extremes = [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n)];
const timestampEdges = [-62_135_596_801n, -62_135_596_800n, 253_402_300_799n, 253_402_300_800n];
const durationEdges = [-315_576_000_001n, -315_576_000_000n, 315_576_000_000n, 315_576_000_001n];
const nanos = [0, 1, -1, 999_999_999, 1_000_000_000, -999_999_999, -1_000_000_000];

test("a time is in range exactly if it can be said in JSON", () => {
  const isPingTaken = (ping: MessageInitShape<typeof ComponentServicePingRequestSchema>) =>
    badTime(ComponentServicePingRequestSchema, create(ComponentServicePingRequestSchema, ping)) === undefined;
  const tables = [
    [TimestampSchema, [...extremes, ...timestampEdges], (startedAt: object) => isPingTaken({ startedAt })],
    [DurationSchema, [...extremes, ...durationEdges], (interval: object) => isPingTaken({ interval })],
  ] as const;
  for (const [schema, all, isTaken] of tables) {
    for (const time of all.flatMap((seconds) => nanos.map((n) => create(schema, { seconds, nanos: n })))) {
      const isSaid = () => {
        try {
          return toJson(schema, time) !== undefined;
        } catch {
          return false;
        }
      };
      assert.equal(isTaken(time), isSaid(), `${schema.name} ${time.seconds}.${time.nanos}`);
    }
  }
});

test("a time is found wherever it is: in a message, a list or a map", () => {
  const bad = { seconds: 2n ** 62n };
  assert.equal(badTime(MachineObservedSchema, create(MachineObservedSchema, { heardAt: bad }))?.field, "heard_at");
  const events = { events: [{}, { time: bad }] };
  const within = create(MachineObservedSchema, { events });
  assert.equal(badTime(MachineObservedSchema, within)?.field, "events.events[1].time");
  const request = create(EventServiceSendRequestSchema, {
    events: { m1: { time: { seconds: 1n } }, m2: { time: bad } },
  });
  assert.equal(badTime(EventServiceSendRequestSchema, request)?.field, "events[m2].time");
});
