import assert from "node:assert/strict";
import { test } from "node:test";
import type { Transport } from "@connectrpc/connect";
import { Seeded } from "#lib/seeded.ts";
import { Life } from "./life.ts";
import { Line, type Way } from "./line.ts";
import { Time } from "./time.ts";
import { transportOver } from "./transport-over.ts";

/** A line with somebody who calls over it. */
function aLine() {
  const time = new Time(new Seeded(1));
  const line = new Line(time, new Seeded(2));
  const [caller, server] = [new Life("caller", time), new Life("server", time)];
  let taken = 0;
  const answers = { unary: async () => `answer ${++taken}` } as unknown as Transport; // only unary is asked for, and handed on as it is
  const transport = transportOver(line, caller, () => ({ life: server, transport: answers }));
  const said: string[] = [];
  const call = (timeoutMs?: number) => {
    const unary = transport.unary as unknown as (...call: unknown[]) => Promise<unknown>; // as above
    unary({}, undefined, timeoutMs, undefined, {}).then(
      (answer) => said.push(`${answer} after ${Math.round(time.nowMs / 1000)} s`),
      (error: unknown) => said.push(`${error} after ${Math.round(time.nowMs / 1000)} s`),
    );
  };
  const until = (ms: number) =>
    time.runUntil(
      ms,
      () => {},
      () => false,
    );
  return { line, call, said, until, taken: () => taken };
}

for (const [ways, taken] of [
  [["there"], 0],
  [["back"], 1],
] as readonly (readonly [readonly Way[], number])[]) {
  test(`of a call on a half-open connection (${ways}) nothing is heard until the caller gives up`, async () => {
    const { line, call, said, until, ...served } = aLine();
    line.halfOpen(ways);
    call(15_000);
    await until(14_000);
    assert.deepEqual([said, served.taken()], [[], taken]);
    await until(39_000);
    assert.deepEqual(said, ["ConnectError: [deadline_exceeded] the operation timed out after 15 s"]);
    // By then its pings have told that it is dead.
    await until(41_000);
    call();
    await until(42_000);
    assert.deepEqual(said.slice(1), [`answer ${taken + 1} after 41 s`]);
  });
}

test("what is on its way when a line is cut arrives after it is healed, unless another cut lasts", async () => {
  const { line, call, said, until } = aLine();
  const [first, second] = [line.cut(["there"]), line.cut()];
  call();
  await until(5_000);
  first();
  await until(10_000);
  assert.deepEqual(said, []);
  second();
  await until(12_000);
  assert.deepEqual(said, ["answer 1 after 11 s"]);
});

test("a lossy line tells the caller that the connection broke, before or after the call was taken", async () => {
  const { line, call, said, until, taken } = aLine();
  line.faults.lostShare = 0.5;
  for (let i = 0; i < 100; i++) call();
  await until(1_000);
  const broken = said.filter((one) => /the connection broke/.test(one)).length;
  assert.ok(broken > 60 && broken < 90, `${broken}`);
  assert.ok(taken() > 35 && taken() < 65, `${taken()}`);
});
