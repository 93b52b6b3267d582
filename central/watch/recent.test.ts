import assert from "node:assert/strict";
import { test } from "node:test";
import { type About, thingKinds } from "../things/kinds.ts";
import { Recent } from "./recent.ts";
import { Waiting } from "./waiting.ts";

const kind = thingKinds[0]!;
const of = (project: string): About => ({ project, tenant: "", user: "", isBase: false });
const change = (id: string, revision: bigint, before?: string) => ({
  key: id,
  kind,
  id,
  revision,
  before: before === undefined ? undefined : of(before),
  after: undefined,
});

test("what has changed is held once, with its last revision, and whose it has been", () => {
  const recent = new Recent(10n);
  recent.note(change("a", 11n));
  recent.note(change("b", 12n));
  recent.note(change("a", 13n, "p"));
  recent.note(change("a", 14n, "q"));
  recent.note(change("a", 15n, "q"));
  assert.deepEqual(
    recent.since(11n).map(({ id, revision }) => [id, revision]),
    [
      ["b", 12n],
      ["a", 15n],
    ],
  );
  assert.deepEqual(
    recent.since(14n).flatMap(({ owners }) => owners.map(({ about, until }) => [about.project, until])),
    [
      ["p", 13n],
      ["q", 15n],
    ],
  );
  assert.deepEqual([recent.holdsSince(9n), recent.holdsSince(10n)], [false, true]);
});

test("what was forgotten to make room, and owners beyond eight, are said to be not held", () => {
  const recent = new Recent(0n, 2);
  for (const [i, id] of ["a", "b", "c"].entries()) recent.note(change(id, BigInt(i + 1)));
  assert.deepEqual([recent.holdsSince(0n), recent.holdsSince(1n)], [false, true]);
  for (let i = 4; i <= 12; i++) recent.note(change("c", BigInt(i), `p${i}`));
  assert.deepEqual([recent.holdsSince(3n), recent.holdsSince(4n)], [false, true]);
});

test("what waits is taken once, in the order in which it came, and only what has changed counts against the limit", () => {
  const waiting = new Waiting(2);
  const named = (key: string, revision = 1n) => ({ key, kind, id: key, revision });
  for (const key of ["a", "b", "c"]) waiting.begin(named(key));
  assert.deepEqual([waiting.add(named("b", 2n)), waiting.add(named("d"))], [true, true]);
  assert.equal(waiting.add(named("e")), false);
  const taken = Array.from({ length: 5 }, () => waiting.take());
  assert.deepEqual(
    taken.map((one) => [one?.key, one?.revision]),
    [
      ["a", 1n],
      ["b", 2n],
      ["c", 1n],
      ["d", 1n],
      ["e", 1n],
    ],
  );
  assert.equal(waiting.take(), undefined);
  assert.ok(waiting.isEmpty);
});

test("of a user's memberships those are known that were gained, and whether any was lost", () => {
  const recent = new Recent(0n);
  const move = (of: string, isGain: boolean, revision: bigint) =>
    recent.noteMove({ user: "ann", of, isGain }, revision);
  move("p", true, 1n);
  move("q", true, 3n);
  assert.deepEqual([recent.gainedSince("ann", 0n), recent.gainedSince("ann", 1n)], [["p", "q"], ["q"]]);
  assert.deepEqual([recent.gainedSince("ann", 3n), recent.gainedSince("bob", 0n)], [[], []]);
  move("p", false, 5n);
  assert.deepEqual([recent.gainedSince("ann", 4n), recent.gainedSince("ann", 5n)], [undefined, []]);
  for (let i = 0; i <= 64; i++) move(`p${i}`, true, 6n);
  assert.equal(recent.gainedSince("ann", 5n), undefined, "too many to remember");
});
