import assert from "node:assert/strict";
import { test } from "node:test";
import { idle, type LinkEvent, type LinkState, stepLink } from "./step.ts";

const broke = (init: Partial<Extract<LinkEvent, { kind: "broke" }>> = {}): LinkEvent => ({
  kind: "broke",
  why: "connection reset",
  isRefusal: false,
  heldMs: 0,
  chance: 0,
  ...init,
});
const after = (events: readonly LinkEvent[], from: LinkState = idle(0)): LinkState =>
  events.reduce((state, event, i) => stepLink(state, event, i + 1), from);
const part: LinkEvent = { kind: "heard", what: "a part" };
const current: LinkEvent = { kind: "heard", what: "current" };

test("a link is idle, connects, loads what it missed, and follows once central has nothing newer", () => {
  const phases = [
    [],
    [{ kind: "dialled" }],
    [{ kind: "dialled" }, part],
    [{ kind: "dialled" }, part, current],
  ] as const;
  assert.deepEqual(
    phases.map((events) => after(events).phase),
    ["idle", "connecting", "loading", "following"],
  );
  assert.equal(after([{ kind: "dialled" }, current, part]).phase, "following");
});

test("since is when the phase began, not when it was last heard", () => {
  assert.equal(after([{ kind: "dialled" }, current, current, part, current]).sinceMs, 2);
});

test("it is waited twice as long after each failure in a row, up to 10 s, and at least half of that", () => {
  const waits: number[] = [];
  let state = idle(0);
  for (let i = 0; i < 7; i++) {
    state = stepLink(stepLink(state, { kind: "dialled" }, i), broke(), i);
    waits.push(state.waitMs);
  }
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 5000, 5000]);
  assert.equal(stepLink(state, broke({ chance: 0.5 }), 9).waitMs, 7500);
});

test("a link that had held for a while begins with short pauses again", () => {
  const worn = after([broke(), broke(), broke(), broke()]);
  assert.equal(stepLink(worn, broke({ heldMs: 60_000 }), 9).waitMs, 250);
});

test("a refusal is not asked about again for 15 to 30 s", () => {
  const refused = broke({ isRefusal: true, why: "another agent is connected" });
  assert.equal(after([refused]).waitMs, 15_000);
  assert.ok(stepLink(idle(0), { ...refused, chance: 0.999 } as LinkEvent, 1).waitMs < 30_000);
});

test("why it broke is remembered until it is up again", () => {
  const events: LinkEvent[] = [broke(), { kind: "dialled" }, part];
  assert.equal(after(events).lastError, "connection reset");
  assert.equal(after([...events, current]).lastError, undefined);
});

test("a stopped link is idle, and has forgotten its failures", () => {
  assert.deepEqual(after([broke(), broke(), { kind: "stopped" }]), idle(3));
});
