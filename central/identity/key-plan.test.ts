import assert from "node:assert/strict";
import { test } from "node:test";
import { dayMs } from "#lib/durations.ts";
import { keyPlan, noticeMs, signingMs, tokenLifeMaxMs } from "./key-plan.ts";

const now = Date.UTC(2026, 0, 1);

test("without a key, the first is made and signs at once", () => {
  assert.deepEqual(keyPlan([], now), { signing: undefined, next: { id: "1", signsFromMs: now }, over: [] });
});

test("the next key is known to all before the first token is signed by it", () => {
  const first = { id: "1", signsFromMs: now };
  const before = now + signingMs - noticeMs;
  assert.equal(keyPlan([first], before - 1).next, undefined);
  const { next } = keyPlan([first], before);
  assert.deepEqual(next, { id: "2", signsFromMs: now + signingMs });
  assert.equal(keyPlan([first, next!], before).next, undefined);
  assert.equal(keyPlan([first, next!], now + signingMs - 1).signing, "1");
  assert.equal(keyPlan([first, next!], now + signingMs).signing, "2");
});

test("a key is over when the last token that it can have signed has ended, and not before", () => {
  const keys = [
    { id: "9", signsFromMs: now },
    { id: "10", signsFromMs: now + signingMs },
  ];
  const lastEnd = now + signingMs + tokenLifeMaxMs;
  assert.deepEqual(keyPlan(keys, lastEnd).over, []);
  assert.deepEqual(keyPlan(keys, lastEnd + dayMs).over, ["9"]);
});

test("the newest key is never over, however long central was away", () => {
  const plan = keyPlan([{ id: "1", signsFromMs: now }], now + 10 * tokenLifeMaxMs);
  assert.deepEqual([plan.signing, plan.next?.id, plan.over], ["1", "2", []]);
});

test("a clock that was set back signs with the first key rather than with none", () => {
  assert.equal(keyPlan([{ id: "4", signsFromMs: now }], now - dayMs).signing, "4");
});
