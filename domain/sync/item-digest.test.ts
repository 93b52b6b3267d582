import assert from "node:assert/strict";
import { test } from "node:test";
import { differingKinds, digestItems } from "./item-digest.ts";

const item = (kind: string, id: string, revision = 1n, value = "v") => ({
  kind,
  id,
  revision,
  value: new TextEncoder().encode(value),
});
const some = [item("machine", "a"), item("machine", "b"), item("size", "s")];

test("two who hold the same have the same digests, in whatever order", () => {
  assert.deepEqual(differingKinds(digestItems(some), digestItems([...some].reverse())), []);
  assert.deepEqual(differingKinds(digestItems([]), digestItems([])), []);
});

const others: readonly (readonly [string, ReturnType<typeof item>[]])[] = [
  ["one is missing", [item("machine", "a"), item("size", "s")]],
  ["one is there twice", [...some, item("machine", "b")]],
  ["one has another content", [item("machine", "a"), item("machine", "b", 1n, "w"), item("size", "s")]],
  ["one has another revision", [item("machine", "a"), item("machine", "b", 2n), item("size", "s")]],
  ["one has another id", [item("machine", "a"), item("machine", "c"), item("size", "s")]],
  ["two have changed places", [item("machine", "a", 1n, "b"), item("machine", "b", 1n, "a"), item("size", "s")]],
];
for (const [what, items] of others) {
  test(`${what}: the kind is named, and no other`, () => {
    assert.deepEqual(differingKinds(digestItems(some), digestItems(items)), ["machine"]);
  });
}

test("a kind that only one of them has differs", () => {
  assert.deepEqual(differingKinds(digestItems(some), digestItems([...some, item("image", "i")])), ["image"]);
});

test("10,000 items of small differences have 10,000 digests", () => {
  const seen = new Set<bigint>();
  for (let i = 0; i < 10_000; i++) seen.add(digestItems([item("m", `${i}`)]).get("m")!.digest);
  assert.equal(seen.size, 10_000);
});
