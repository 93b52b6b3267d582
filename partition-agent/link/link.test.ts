import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type FollowRequest,
  type FollowResponse,
  FollowResponseSchema,
  type ReportRequest,
  ReportResponseSchema,
} from "#gen/holdfast/sync/v1/sync_pb.ts";
import { type Log, silentLog } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { connectErrorOf } from "#lib/rpc/refusal-to-connect.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { Ledger } from "../ledger/ledger.ts";
import { Outbox } from "../outbox/outbox.ts";
import { HeldDisk } from "../testing/held-disk.ts";
import { CentralTime } from "./central-time.ts";
import { Link } from "./link.ts";
import { Lives } from "./lives.ts";

const random: Random = { bytes: (n) => new Uint8Array(n), below: () => 0, uuid: () => "outbox" };
const settle = async () => {
  for (let i = 0; i < 20; i++) await turn();
};

interface Stream {
  readonly request: FollowRequest;
  readonly signal: AbortSignal;
  send(event: MessageInitShape<typeof FollowResponseSchema>["event"]): Promise<void>;
  fail(error: Error): Promise<void>;
}

/** A link to a central that says what the test says. */
async function bench() {
  const clock = new VirtualClock();
  const disk = new HeldDisk();
  const streams: Stream[] = [];
  const reports: { readonly request: ReportRequest; readonly atMs: number }[] = [];
  const answer = {
    report: (request: ReportRequest): MessageInitShape<typeof ReportResponseSchema> | Error => ({
      acknowledged: request.entries.at(-1)?.sequence ?? 0n,
    }),
    hangs: false,
  };
  const logged: string[] = [];
  const displacements = { count: 0 };
  const note = (event: string, fields?: Readonly<Record<string, unknown>>) =>
    void logged.push(`${event} ${fields?.["error"] ?? fields?.["reason"] ?? ""}`.trim());
  const log: Log = { ...silentLog, info: note, warn: note, error: note };
  const ledger = new Ledger(disk, log, () => {});
  const wake = { up: () => {} };
  const outbox = await Outbox.open(disk, random, log, () => wake.up());
  const centralTime = new CentralTime(clock, () => {});
  const link = new Link({
    partition: "p1",
    centralTime,
    lives: await Lives.open({ disk, present: "life-1", log }, outbox.sequence),
    client: {
      async *follow(request, signal) {
        const messages: FollowResponse[] = [];
        let ring = () => {};
        let failure: Error | undefined;
        const post = async () => {
          ring();
          await settle();
        };
        streams.push({
          request,
          signal,
          send: (event) => {
            messages.push(create(FollowResponseSchema, { event: event ?? { case: undefined } }));
            return post();
          },
          fail: (error) => {
            failure = error;
            return post();
          },
        });
        signal.addEventListener("abort", () => ring());
        for (;;) {
          const next = messages.shift();
          if (next) yield next;
          else if (signal.aborted) throw signal.reason;
          else if (failure) throw failure;
          else
            await new Promise<void>((resolve) => {
              ring = resolve;
            });
        }
      },
      async report(request, signal) {
        reports.push({ request, atMs: clock.monotonicMs() });
        if (answer.hangs) await new Promise((_, no) => signal.addEventListener("abort", () => no(signal.reason)));
        const answered = answer.report(request);
        if (answered instanceof Error) throw answered;
        return create(ReportResponseSchema, answered);
      },
    },
    ledger,
    outbox,
    told: () => "h",
    displaced: () => void displacements.count++,
    tellAll: async () => {},
    recollect: async () => {},
    upToDate: async () => {},
    clock,
    random,
    log,
  });
  wake.up = () => link.wake();
  const stop = new AbortController();
  const run = link.run(stop.signal);
  await settle();
  const advance = async (ms: number) => {
    for (let left = ms; left > 0; left -= 250) {
      clock.advance(Math.min(left, 250));
      await settle();
    }
  };
  const put = (id: string) => outbox.put({ kind: "machine", id, value: new Uint8Array([1]), seenMs: 0 });
  return {
    clock,
    disk,
    centralTime,
    streams,
    reports,
    answer,
    logged,
    displacements,
    ledger,
    outbox,
    link,
    stop,
    run,
    advance,
    put,
  };
}

const heartbeat = { case: "heartbeat" as const, value: { revision: 1n } };
const snapshot = (revision: bigint) =>
  [
    { case: "snapshotBegin" as const, value: { history: "h", revision } },
    { case: "snapshotEnd" as const, value: { revision } },
  ] as const;

test("the link is up when central has nothing newer, and resumes after the last revision that is durable", async () => {
  const { streams, link, advance } = await bench();
  assert.equal(link.state.phase, "connecting");
  for (const event of snapshot(7n)) await streams[0]?.send(event);
  assert.equal(link.state.phase, "loading");
  await streams[0]?.send(heartbeat);
  assert.equal(link.state.phase, "following");
  await streams[0]?.fail(new Error("connection reset"));
  assert.deepEqual([link.state.phase, link.state.lastError], ["backing off", "connection reset"]);
  await advance(500);
  assert.deepEqual([streams[1]?.request.afterRevision, streams[1]?.request.history], [7n, "h"]);
});

test("a link that backs off is dialled soon after central took a report", async () => {
  const { streams, advance, put, link } = await bench();
  await streams[0]?.send(heartbeat);
  for (let i = 0; i < 8; i++) {
    await streams.at(-1)?.fail(new Error("connection refused"));
    await advance(link.state.waitMs);
  }
  const dialled = streams.length;
  await streams.at(-1)?.fail(new Error("connection refused"));
  assert.equal(link.state.waitMs, 5_000);
  await put("a");
  await settle();
  assert.equal(link.state.waitMs, 250);
  await advance(250);
  assert.equal(streams.length, dialled + 1);
});

test("central's clock is known by the first heartbeat of a stream, and by each answer to a report", async () => {
  const { streams, answer, advance, put, centralTime, clock } = await bench();
  const time = (aheadMs: number) => timestampFromMs(clock.wallMs() + aheadMs);
  const width = () => centralTime.span.latestMs - centralTime.span.earliestMs;
  await advance(5_000);
  await streams[0]?.send({ case: "heartbeat", value: { revision: 1n, time: time(600_000) } });
  assert.ok(width() >= 5_000 && width() < 5_010, "it may have said so at once, or just now");
  const { earliestMs } = centralTime.span;
  assert.equal(earliestMs, clock.wallMs() + 600_000);
  await advance(3_000);
  await streams[0]?.send({ case: "heartbeat", value: { revision: 1n, time: time(-600_000) } });
  assert.ok(Math.abs(centralTime.span.earliestMs - clock.wallMs() - 600_000) < 10, "a late one may be old");
  answer.report = ({ entries }) => ({ acknowledged: entries.at(-1)?.sequence ?? 0n, time: time(600_000) });
  await put("a");
  await advance(0);
  await settle();
  assert.ok(width() < 10);
});

test("a central that falls silent is left after 20 s, and one that beats is not", async () => {
  const { streams, link, advance } = await bench();
  await streams[0]?.send(heartbeat);
  await advance(19_000);
  await streams[0]?.send(heartbeat);
  await advance(19_000);
  assert.equal(streams.length, 1);
  await advance(1250);
  assert.equal(link.state.lastError, "central was silent for 20000 ms");
  assert.equal(streams[0]?.signal.aborted, true);
  await advance(500);
  assert.equal(streams.length, 2);
});

test("a broken link is retried for ever, ever more rarely up to 10 s, and told once", async () => {
  const { clock, streams, logged, advance } = await bench();
  const startedMs: number[] = [];
  for (let i = 0; i < 10; i++) {
    await streams[i]?.fail(new Error("connection refused"));
    const failedMs = clock.monotonicMs();
    while (streams.length === i + 1) await advance(250);
    startedMs.push(clock.monotonicMs() - failedMs);
  }
  assert.deepEqual(startedMs, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000, 5000, 5000]);
  assert.deepEqual(logged, ["link-lost connection refused"]);
});

test("a stream that breaks its own rules is left, and nothing of it is kept", async () => {
  const wrong: [string, readonly Parameters<Stream["send"]>[0][]][] = [
    ["central sent items of a snapshot without its beginning", [{ case: "snapshotItems", value: { items: [] } }]],
    ["central sent an end of a snapshot without its beginning", [{ case: "snapshotEnd", value: {} }]],
    [
      "central sent a delta inside a snapshot",
      [
        { case: "snapshotBegin", value: { history: "h", revision: 3n } },
        { case: "delta", value: { revision: 4n } },
      ],
    ],
    [
      "central began a snapshot of revision 3 and ended 4",
      [
        { case: "snapshotBegin", value: { history: "h", revision: 3n } },
        { case: "snapshotEnd", value: { revision: 4n } },
      ],
    ],
  ];
  for (const [why, events] of wrong) {
    const { streams, link, ledger } = await bench();
    for (const event of events) await streams[0]?.send(event);
    assert.equal(link.state.lastError, why);
    assert.equal(ledger.cursor.revision, 0n);
  }
});

test("an event that this agent does not know is ignored", async () => {
  const { streams, link } = await bench();
  await streams[0]?.send({ case: undefined });
  await streams[0]?.send(heartbeat);
  assert.equal(link.state.phase, "following");
});

test("what is put into the outbox is reported at once, and forgotten when it is acknowledged", async () => {
  const { streams, reports, outbox, put } = await bench();
  await streams[0]?.send(heartbeat);
  await put("a");
  await settle();
  assert.equal(reports.length, 1);
  assert.deepEqual([reports[0]?.request.outbox, reports[0]?.request.agent], [outbox.id, "life-1"]);
  assert.equal(outbox.size, 0);
});

test("a report that gets no answer is given up after 15 s and sent again", async () => {
  const { streams, reports, answer, outbox, logged, put, advance } = await bench();
  await streams[0]?.send(heartbeat);
  answer.hangs = true;
  await put("a");
  await settle();
  await advance(15_000);
  assert.ok(logged.includes("link-lost report to central took longer than 15000 ms"));
  answer.hangs = false;
  await advance(500);
  assert.equal(reports.length, 2);
  assert.equal(outbox.size, 0);
});

test("central refuses an event (404/409): it is kept aside with the reason, and the queue goes on", async () => {
  const { streams, reports, answer, outbox, logged, put } = await bench();
  await streams[0]?.send(heartbeat);
  answer.report = ({ entries }) => ({
    acknowledged: entries.at(-1)?.sequence ?? 0n,
    rejected: entries.filter((e) => e.id === "bad").map(({ sequence }) => ({ sequence, reason: "belongs to p2" })),
  });
  await put("bad");
  await put("good");
  await settle();
  assert.equal(outbox.size, 0);
  assert.deepEqual(
    outbox.rejected().map(({ entry, reason }) => `${entry.id} ${reason}`),
    ["bad belongs to p2"],
  );
  assert.ok(logged.includes("report-rejected belongs to p2"));
  assert.ok(reports.length <= 2);
});

test("a central that acknowledges nothing is asked with pauses, not in a loop", async () => {
  const { streams, reports, answer, outbox, put, advance } = await bench();
  await streams[0]?.send(heartbeat);
  answer.report = () => ({ acknowledged: 0n });
  await put("a");
  await settle();
  assert.equal(reports.length, 1);
  await advance(60_000);
  assert.ok(reports.length < 25, `${reports.length} reports in a minute`);
  assert.equal(outbox.size, 1);
});

test("while central is away nothing piles up but the facts themselves, and all of them arrive when it is back", async () => {
  const { streams, reports, answer, outbox, put, advance } = await bench();
  await streams[0]?.send(heartbeat);
  answer.report = () => new Error("connection refused");
  for (let i = 0; i < 100; i++) await put(`m${i}`);
  for (let i = 0; i < 100; i++) await put(`m${i}`);
  await advance(60_000);
  assert.equal(outbox.size, 100);
  answer.report = ({ entries }) => ({ acknowledged: entries.at(-1)?.sequence ?? 0n });
  await advance(10_000);
  assert.equal(outbox.size, 0);
  assert.ok((reports.at(-1)?.request.entries.length ?? 99) <= 32);
});

test("an agent that follows and has nothing to report says every 10 s that it lives, and to which history all is told", async () => {
  const { reports, streams, advance, put } = await bench();
  await advance(30_000);
  assert.equal(reports.length, 0, "whoever is not connected has nobody to tell");
  await streams.at(-1)?.send(heartbeat);
  for (let i = 0; i < 4; i++) {
    await advance(10_000);
    await streams.at(-1)?.send(heartbeat);
  }
  assert.ok(reports.length >= 3 && reports.length <= 5, `${reports.length} reports`);
  assert.deepEqual([reports[0]?.request.entries, reports[0]?.request.history], [[], "h"]);
  for (let i = 0; i < 40; i++) void put(`m${i}`);
  await advance(1_000);
  const histories = reports.slice(-2).map(({ request }) => [request.entries.length, request.history]);
  assert.deepEqual(histories.at(-1)?.[1], "h");
});

test("central's word that another agent is connected reaches the agent, other refusals do not", async () => {
  const { streams, displacements, advance } = await bench();
  await streams[0]?.fail(new ConnectError("partition p1 does not exist", Code.NotFound));
  await advance(30_000);
  assert.equal(displacements.count, 0);
  const refusal = new Refusal("precondition", "another agent is connected", { reason: "AGENT_ALREADY_LIVE" });
  await streams[1]?.fail(connectErrorOf(refusal));
  assert.equal(displacements.count, 1);
});

test("a refusal is not asked about again for a while, a broken connection is", async () => {
  const { streams, link, advance } = await bench();
  await streams[0]?.fail(new ConnectError("another agent is connected", Code.FailedPrecondition));
  assert.equal(link.state.waitMs, 15_000);
  await advance(14_000);
  assert.equal(streams.length, 1);
  await advance(1_250);
  assert.equal(streams.length, 2);
});

test("nothing is reported before central has given back what this agent may have forgotten", async () => {
  const { streams, reports, put, advance } = await bench();
  await put("a");
  await advance(5_000);
  await streams[0]?.send({ case: "recollection", value: { entries: [] } });
  assert.equal(reports.length, 0);
  await streams[0]?.send({ case: "snapshotBegin", value: { history: "h", revision: 3n } });
  assert.equal(reports.length, 1);
});

test("a stop ends both directions, and leaves no timer", async () => {
  const { clock, streams, stop, run } = await bench();
  await streams[0]?.send(heartbeat);
  stop.abort(new Error("stopping"));
  await run;
  assert.equal(streams[0]?.signal.aborted, true);
  await settle();
  assert.equal(clock.nextMs, undefined);
});
