import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { addressText, containsPrefix, overlaps, type Prefix, parsePrefix, prefixText } from "#lib/net/prefix.ts";
import { checked } from "#lib/result.ts";
import {
  addressBlock,
  beyond,
  familySpace,
  freeAddress,
  freePrefix,
  lowest,
  prefixBlock,
  type Spread,
} from "./free.ts";
import { take } from "./ipam.ts";

const prefix = (text: string): Prefix => checked(parsePrefix(text));

/** All that is given, until there is nothing more. */
function given(prefixes: readonly Prefix[], spread: (n: number) => Spread): string[] {
  const texts: string[] = [];
  for (let space = familySpace(prefixes[0]?.family ?? 4); ; ) {
    const address = freeAddress(space, prefixes, spread(texts.length));
    if (address === undefined) return texts;
    texts.push(addressText(address));
    space = take(space, addressBlock(address));
  }
}

const two = [prefix("10.0.0.0/30"), prefix("10.0.1.0/29")];
const all = ["10.0.0.2", "10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.1.6"];

test("without a spread the next free address is the lowest usable one, prefix after prefix, until all are taken", () => {
  assert.deepEqual(
    given(two, () => lowest),
    all,
  );
});

test("with any spreads every usable address is given once all the same", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 8, maxLength: 8 }), (spreads) => {
      assert.deepEqual(given(two, (n) => beyond(spreads[n] ?? 0)).sort(), all);
    }),
  );
});

test("a spread leads as far beyond the lowest free address, around the end of its prefix", () => {
  const space = take(familySpace(4), addressBlock({ family: 4, value: 0x0a000102n }));
  const texts = [0, 1, 2, 3, 4, 5]
    .map((spread) => freeAddress(space, two.slice(1), beyond(spread)))
    .map((a) => a && addressText(a));
  assert.deepEqual(texts, ["10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.1.6", "10.0.1.3", "10.0.1.4"]);
});

test("a carved prefix lies inside, overlaps nothing that is taken, and is the lowest such", () => {
  const text = (taken: string[], length: number, outer = ["10.0.0.0/16"]) => {
    const space = taken.map(prefix).map(prefixBlock).reduce(take, familySpace(4));
    const free = freePrefix(space, outer.map(prefix), length);
    return free && prefixText(free);
  };
  assert.equal(text([], 22), "10.0.0.0/22");
  assert.equal(text(["10.0.0.0/24"], 22), "10.0.4.0/22");
  assert.equal(text(["10.0.4.0/22"], 22), "10.0.0.0/22");
  assert.equal(text(["10.0.0.0/22", "10.0.8.0/22"], 22), "10.0.4.0/22");
  assert.equal(text(["10.0.0.0/8"], 22), undefined);
  assert.equal(text(["10.0.0.0/17", "10.0.128.0/17"], 24), undefined);
  assert.equal(text([], 15), undefined);
  assert.equal(text([], 16), "10.0.0.0/16");
  assert.equal(text(["10.0.0.0/16"], 24, ["10.0.0.0/16", "10.9.0.0/16"]), "10.9.0.0/24");
});

test("carving goes on until the space is full, with whatever lengths, and never overlaps", () => {
  const lengths = fc.array(fc.integer({ min: 56, max: 62 }), { maxLength: 60 });
  fc.assert(
    fc.property(lengths, (wanted) => {
      const outer = prefix("2001:db8::/56");
      const taken: Prefix[] = [];
      let space = familySpace(6);
      for (const length of wanted) {
        const carved = freePrefix(space, [outer], length);
        if (carved === undefined) continue;
        assert.ok(containsPrefix(outer, carved));
        for (const t of taken) assert.ok(!overlaps(t, carved));
        taken.push(carved);
        space = take(space, prefixBlock(carved));
      }
    }),
  );
});
