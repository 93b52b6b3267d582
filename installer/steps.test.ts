import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { InstallStep } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { StepFailed, Steps } from "./steps.ts";

/** The pause for gathering news is over at once, limits are never reached. */
const stillClock: Clock = {
  monotonicMs: () => 0,
  wallMs: () => 0,
  sleep: (ms) => (ms <= 1_000 ? Promise.resolve() : new Promise(() => {})),
};

/** Reports are held until the test lets them through. */
function held() {
  const told: InstallStep[] = [];
  const calls: number[] = [];
  const said: string[] = [];
  const waiting: (() => void)[] = [];
  const report = (news: InstallStep[]) => {
    told.push(...news);
    calls.push(news.length);
    return new Promise<void>((resolve) => waiting.push(resolve));
  };
  const steps = new Steps({ clock: stillClock, say: (step, text) => said.push(`${step} ${text}`), report });
  const letThrough = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      next();
      await turn();
    }
  };
  return { steps, told, calls, said, letThrough };
}
const short = (s: InstallStep): string =>
  `${s.name} ${s.endedAt === undefined ? "began" : s.error || s.detail || "ended"}`;

test("work does not wait for its report, and a step that has ended before it was told is told once", async () => {
  const h = held();
  await h.steps.run(
    "one",
    () => turn(),
    () => "well",
  );
  await h.steps.run("two", async () => 2);
  assert.deepEqual(h.told.map(short), ["one began"]);
  await h.letThrough();
  await h.steps.told(1);
  assert.deepEqual(h.told.map(short), ["one began", "one well", "two ended"]);
  assert.deepEqual(h.calls, [1, 2], "what came while the first was told is told in one call");
});

test("a failure carries the step's name and reason, is said and is told", async () => {
  const h = held();
  await assert.rejects(
    h.steps.run("partition", async () => {
      await turn();
      throw new Error("disk /dev/vda is on fire");
    }),
    (error) => error instanceof StepFailed && error.message === "partition: disk /dev/vda is on fire",
  );
  await h.letThrough();
  assert.deepEqual(h.told.map(short), ["partition began", "partition partition: disk /dev/vda is on fire"]);
  assert.deepEqual(h.said, ["partition failed: partition: disk /dev/vda is on fire"]);
});

test("a refused report is said and harms nothing", async () => {
  const said: string[] = [];
  const steps = new Steps({
    clock: stillClock,
    say: (step, text) => said.push(`${step} ${text}`),
    report: () => Promise.reject(new Error("no such step")),
  });
  assert.equal(await steps.run("one", async () => 5), 5);
  await steps.told(1);
  assert.ok(said.includes("one not told: no such step"));
});

test("who wants all to be told is not kept waiting for more to tell", async () => {
  const told: InstallStep[] = [];
  const asleep: Clock = {
    ...stillClock,
    sleep: (_ms, signal) =>
      new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true })),
  };
  const steps = new Steps({ clock: asleep, say: () => {}, report: async (news) => void told.push(...news) });
  await steps.run("success", async () => {});
  await steps.told(5_000);
  assert.deepEqual(told.map(short), ["success ended"]);
});
