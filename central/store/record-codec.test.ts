import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeBatch, decodeItem, encodeBatch, encodeItem } from "./record-codec.ts";

const revision = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const key = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 });
const value = fc.uint8Array({ maxLength: 600 });

test("items come back as they were", () => {
  fc.assert(
    fc.property(key, revision, revision, value, (key, revision, created, value) => {
      const item = { key, revision, created, value };
      assert.deepEqual(decodeItem(key, encodeItem(item)), { ok: true, value: item });
    }),
  );
});

test("batches come back as they were", () => {
  const change = fc.record({ key, put: fc.option(fc.record({ created: revision, value })) });
  fc.assert(
    fc.property(revision, fc.array(change), (revision, changes) => {
      const batch = {
        revision,
        changes: changes.map(({ key, put }) => ({ key, item: put ? { key, revision, ...put } : undefined })),
      };
      assert.deepEqual(decodeBatch(revision, encodeBatch(batch)), { ok: true, value: batch });
    }),
  );
});

test("any bytes give a record or a named error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const decoded of [decodeItem("k", bytes), decodeBatch(7n, bytes)]) {
        if (!decoded.ok) assert.match(decoded.error, /^stored (item k|batch 7): /);
      }
    }),
  );
});
