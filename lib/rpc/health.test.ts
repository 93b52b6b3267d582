import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, type ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import type { Clock } from "../clock.ts";
import { health, type Serving } from "./health.ts";

const manualClock = () => {
  let tick: () => void = () => {};
  const clock: Clock = {
    monotonicMs: () => 0,
    wallMs: () => 0,
    sleep: (_ms, signal) =>
      new Promise((resolve, reject) => {
        tick = resolve;
        signal?.addEventListener("abort", () => reject(signal.reason));
      }),
  };
  return { clock, tick: () => tick() };
};

test("health is answered by service, watched changes are sent once", async () => {
  const now = new Map<string, Serving>([["", "serving"]]);
  const { clock, tick } = manualClock();
  const client = createClient(Health, createRouterTransport(health({ status: (s) => now.get(s), clock })));
  assert.equal((await client.check({})).status, 1);
  await assert.rejects(client.check({ service: "no.Such" }), (e: ConnectError) => e.code === Code.NotFound);
  const stop = new AbortController();
  const watch = client.watch({}, { signal: stop.signal })[Symbol.asyncIterator]();
  assert.equal((await watch.next()).value?.status, 1);
  const next = watch.next();
  await new Promise((resolve) => setImmediate(resolve));
  tick();
  now.set("", "not-serving");
  await new Promise((resolve) => setImmediate(resolve));
  tick();
  assert.equal((await next).value?.status, 2);
  stop.abort();
  await assert.rejects(watch.next());
});
