import assert from "node:assert/strict";
import { describe, test } from "node:test";
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

describe("a report that central took while the link backs off", () => {
  const answered: LinkEvent = { kind: "answered", chance: 0 };
  const worn = after([...Array<LinkEvent>(9).fill(broke()), { kind: "dialled" }, broke()]);

  test("cuts the wait short, and is never a reason to wait longer", () => {
    assert.equal(worn.waitMs, 5_000);
    assert.equal(stepLink(worn, answered, worn.sinceMs + 1_000).waitMs, 250);
    assert.equal(stepLink(worn, answered, worn.sinceMs + 4_900).waitMs, 100);
    for (const state of [idle(0), after([{ kind: "dialled" }]), after([{ kind: "dialled" }, current])])
      assert.equal(stepLink(state, answered, 9), state);
  });

  test("does so once until the link was up: central may answer reports and still refuse what is dialled", () => {
    let state = stepLink(worn, answered, 20);
    const waits: number[] = [];
    for (let i = 0; i < 6; i++) {
      for (const event of [{ kind: "dialled" } as const, part, broke(), answered]) state = stepLink(state, event, 30);
      waits.push(state.waitMs);
    }
    assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 5000]);
    const up = after([{ kind: "dialled" }, current, broke(), { kind: "dialled" }, broke({ isRefusal: true })], state);
    assert.equal(stepLink(up, answered, up.sinceMs).waitMs, 250);
  });

  test("brings a thousand agents back within seconds, and few at a time", () => {
    const agents = 1_000;
    // Each report is tried again by itself, as spread as what is dialled: in the worst case all go through when central is back.
    for (const spreadMs of [5_000, 0]) {
      const dialledMs = Array.from({ length: agents }, (_, i) => {
        const chance = (i * 0.618) % 1;
        const waiting = stepLink(worn, broke({ chance: (i * 0.414) % 1 }), 0);
        const answeredMs = spreadMs * chance;
        const woken = stepLink({ ...waiting, sinceMs: 0 }, { kind: "answered", chance: (i * 0.732) % 1 }, answeredMs);
        return answeredMs + woken.waitMs;
      }).sort((a, b) => a - b);
      assert.ok((dialledMs.at(-1) ?? Infinity) <= spreadMs + 500);
      const within = (ms: number) => dialledMs.filter((at) => at >= ms && at < ms + 10).length;
      const most = Math.max(...Array.from({ length: 1_000 }, (_, i) => within(i * 10)));
      assert.ok(most <= (spreadMs === 0 ? 50 : 10), `${most} in 10 ms`);
    }
  });
});

test("a stopped link is idle, and has forgotten its failures", () => {
  assert.deepEqual(after([broke(), broke(), { kind: "stopped" }]), idle(3));
});
