import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  LabelsSchema,
  OptimisticLockingStrategy as Lock,
  UpdateLabelsSchema,
  UpdateMetaSchema,
} from "#gen/metalstack/api/v2/common_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { checkLock, hasLabels, labelsMax, newMeta, touched } from "./meta.ts";

const labels = (entries: Record<string, string>) => create(LabelsSchema, { labels: entries });
const meta = newMeta(labels({ a: "1", b: "2" }), 1_000);
const refusedAs = (code: string) => (e: unknown) => e instanceof Refusal && e.code === code;

test("a patch removes and sets labels, a replacement replaces all, no change keeps them", () => {
  const patch = create(UpdateLabelsSchema, {
    strategy: { case: "patch", value: { update: labels({ b: "3", c: "4" }), remove: ["a", "absent"] } },
  });
  assert.deepEqual(touched(meta, 2_000, patch).labels?.labels, { b: "3", c: "4" });
  const replace = create(UpdateLabelsSchema, { strategy: { case: "replace", value: labels({ z: "9" }) } });
  assert.deepEqual(touched(meta, 2_000, replace).labels?.labels, { z: "9" });
  assert.deepEqual(touched(meta, 2_000).labels?.labels, { a: "1", b: "2" });
});

test("every change raises the generation and moves updated_at on, even when the clock stands or goes back", () => {
  const once = touched(meta, 500);
  const twice = touched(once, 500);
  assert.deepEqual([meta.generation, once.generation, twice.generation], [0n, 1n, 2n]);
  assert.deepEqual(
    [once, twice].map((m) => timestampMs(m.updatedAt!)),
    [1_001, 1_002],
  );
  assert.deepEqual(twice.createdAt, meta.createdAt);
});

test("the client's lock holds only for the time that is stored", () => {
  const update = (more: object) => create(UpdateMetaSchema, more);
  checkLock("thing", meta, update({ updatedAt: meta.updatedAt, lockingStrategy: Lock.CLIENT }));
  checkLock("thing", meta, update({ updatedAt: meta.updatedAt }));
  checkLock("thing", meta, update({ lockingStrategy: Lock.SERVER }));
  const stale = update({ updatedAt: timestampFromMs(999), lockingStrategy: Lock.CLIENT });
  assert.throws(() => checkLock("thing", meta, stale), refusedAs("conflict"));
  assert.throws(() => checkLock("thing", meta, update({})), refusedAs("invalid"));
});

test("a query's labels must all be there", () => {
  assert.ok(hasLabels(meta, undefined));
  assert.ok(hasLabels(meta, labels({ a: "1" })));
  assert.ok(!hasLabels(meta, labels({ a: "1", c: "1" })));
  assert.ok(!hasLabels(undefined, labels({ a: "1" })));
});

test("too many labels are refused", () => {
  const many = Object.fromEntries(Array.from({ length: labelsMax + 1 }, (_, i) => [`k${i}`, ""]));
  assert.throws(() => newMeta(labels(many), 0), refusedAs("invalid"));
});
