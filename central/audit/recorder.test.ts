import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AuditPhase, type AuditTrace, AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import { Service, ServiceStatus } from "#gen/metalstack/api/v2/health_pb.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog } from "#lib/log.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { EtcdStore } from "../io/etcd-store.ts";
import { LmdbStore } from "../io/lmdb-store.ts";
import { etcdMissing, startEtcd } from "../io/testing/etcd-process.ts";
import { setUp, until } from "../io/testing/state-rehearsal.ts";
import { kinds } from "../store/kinds.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { openState } from "../store/state.ts";
import type { Store } from "../store/store.ts";
import { auditHealth } from "./health.ts";
import { Recorder, waitingMax } from "./recorder.ts";
import { outlived, traceBytes, traceId } from "./retention.ts";

const id = (n: number) => `00000000-0000-4000-8000-${`${n}`.padStart(12, "0")}`;
const trace = (n: number, atMs: number, body = ""): AuditTrace =>
  create(AuditTraceSchema, { uuid: id(n), timestamp: timestampFromMs(atMs), phase: AuditPhase.REQUEST, body });
const retention = { keepMs: 86_400_000, bytesMax: 1e9 };

describe("the recorder", () => {
  test("stores many traces in one commit, a quarter of a second after the first, and makes nobody wait", async (t) => {
    const { clock, log, open, signal } = await setUp(t);
    const state = await open();
    const recorder = new Recorder({ state, clock, log, retention });
    const running = recorder.run(signal);
    for (let n = 0; n < 40; n++) recorder.record(trace(n, clock.wallMs()));
    assert.equal(state.list(kinds.audit).length, 0);
    const before = state.revision;
    await until(clock, () => state.list(kinds.audit).length === 40);
    assert.equal(state.revision, before + 1n);
    assert.ok(clock.monotonicMs() <= 300, `${clock.monotonicMs()}`);
    void running;
  });

  test("keeps what waits while the store is away, up to a bound, and says how many were lost", async (t) => {
    const { clock, store, log, open, signal } = await setUp(t);
    const state = await open();
    const recorder = new Recorder({ state, clock, log, retention });
    void recorder.run(signal);
    store.isAway = true;
    for (let n = 0; n < waitingMax + 3; n++) recorder.record(trace(n, clock.wallMs()));
    await until(clock, () => log.count("audit-not-stored") > 1);
    const { name, status, message } = auditHealth(recorder);
    const expected = "10000 traces wait for the store; 3 traces were lost since this server started";
    assert.deepEqual([name, status, message], [Service.AUDIT, ServiceStatus.DEGRADED, expected]);
    store.isAway = false;
    await until(clock, () => state.list(kinds.audit).length === waitingMax);
    await until(clock, () => log.count("audit-traces-lost") === 1);
    assert.deepEqual(log.lines.find((line) => line.event === "audit-traces-lost")?.fields, { traces: 3 });
    assert.equal(auditHealth(recorder).status, ServiceStatus.HEALTHY);
  });

  test("takes away what is too old when nobody calls, and what is too much when somebody does", async (t) => {
    const { clock, log, open, signal } = await setUp(t);
    const state = await open();
    const recorder = new Recorder({ state, clock, log, retention: { keepMs: 3_600_000, bytesMax: 100_000 } });
    void recorder.run(signal);
    for (let n = 0; n < 300; n++) recorder.record(trace(n, clock.wallMs() + n, "x".repeat(488)));
    await until(clock, () => state.list(kinds.audit).length === 90);
    assert.equal(state.list(kinds.audit)[0]?.value.uuid, id(210));
    for (let tens = 0; tens < 8; tens++) {
      clock.advance(600_000);
      await until(clock, () => true);
    }
    await until(clock, () => state.list(kinds.audit).length === 0);
  });

  test("loses traces that cannot be stored, says so, and stores the next", async (t) => {
    const { clock, log, open, signal } = await setUp(t);
    const state = await open();
    const recorder = new Recorder({ state, clock, log, retention });
    void recorder.run(signal);
    const broken = trace(1, 0);
    broken.timestamp = { $typeName: "google.protobuf.Timestamp", seconds: 1n, nanos: 0.5 };
    recorder.record(broken);
    await until(clock, () => log.count("audit-traces-lost") === 1);
    recorder.record(trace(2, 0));
    await until(clock, () => state.list(kinds.audit).length === 1);
  });

  test("tells of each trace at once", async (t) => {
    const { clock, log, open } = await setUp(t);
    const told: string[] = [];
    const recorder = new Recorder({ state: await open(), clock, log, retention, tell: (at) => told.push(at.uuid) });
    recorder.record(trace(1, 0));
    assert.deepEqual(told, [id(1)]);
  });
});

test("the oldest traces give way, by age and by bytes, and of the bytes a tenth more", () => {
  const rows = Array.from({ length: 10 }, (_, n) => {
    const value = trace(n, n * 1000, "x".repeat(488));
    return { id: traceId(n * 1000, value), value };
  });
  assert.equal(traceBytes(rows[0]!.value), 1000);
  const gone = (keepMs: number, bytesMax: number) => outlived(rows, { keepMs, bytesMax }, 10_000).length;
  assert.deepEqual([gone(1e6, 1e6), gone(5000, 1e6), gone(1e6, 10_000), gone(1e6, 8000), gone(0, 0)], [0, 5, 0, 3, 10]);
});

const stores: readonly {
  name: string;
  skip?: string | undefined;
  make: (folder: string) => Promise<() => Promise<Store>>;
}[] = [
  {
    name: "memory",
    make: async () => {
      const store = new MemoryStore({ clock: new VirtualClock(), random });
      return async () => store;
    },
  },
  {
    name: "embedded",
    make: async (folder) => async () =>
      new LmdbStore({ clock: new VirtualClock(), random, log: silentLog }, { folder: path.join(folder, "lmdb") }),
  },
  {
    name: "etcd",
    skip: etcdMissing(),
    make: async (folder) => {
      const cluster = await startEtcd({ dataDir: path.join(folder, "etcd"), flush: "none" });
      stops.push(() => cluster.stop());
      return async () =>
        new EtcdStore({ clock: new VirtualClock(), random, log: silentLog }, { endpoints: cluster.endpoints });
    },
  },
];
const stops: (() => Promise<void>)[] = [];

describe("traces that waited when central stopped are there when it starts again:", () => {
  for (const { name, skip, make } of stores) {
    test(name, { skip }, async (t) => {
      const folder = await mkdtemp(path.join(tmpdir(), "audit-"));
      t.after(async () => {
        for (const stop of stops.splice(0)) await stop();
        await rm(folder, { recursive: true, force: true });
      });
      const open = await make(folder);
      const clock = new VirtualClock();
      const stop = new AbortController();
      const first = await open();
      const before = await openState({ store: first, clock, random, log: silentLog }, new AbortController().signal);
      const recorder = new Recorder({ state: before, clock, log: silentLog, retention });
      void recorder.run(stop.signal);
      for (let n = 0; n < 100; n++) recorder.record(trace(n, clock.wallMs()));
      stop.abort();
      await recorder.finish();
      await before.close();
      if (name !== "memory") await first.close();
      const second = await open();
      const after = await openState({ store: second, clock, random, log: silentLog }, new AbortController().signal);
      assert.equal(after.list(kinds.audit).length, 100);
      await after.close();
      await second.close();
    });
  }
});
