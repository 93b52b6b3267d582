import assert from "node:assert/strict";
import { test } from "node:test";
import { Seeded } from "#lib/seeded.ts";
import { type Block, emptySpace, giveBack, isFree, nextFree, type Space, take } from "./ipam.ts";

/** One boolean for each number of a window; everything is looked for one by one. */
class Model {
  readonly #first: bigint;
  readonly #taken: boolean[];

  constructor(first: bigint, count: number) {
    this.#first = first;
    this.#taken = Array<boolean>(count).fill(false);
  }

  get count(): number {
    return this.#taken.length;
  }

  set(at: number, width: number, isTaken: boolean): void {
    this.#taken.fill(isTaken, at, at + width);
  }

  isFree(at: number, width: number): boolean {
    return !this.#taken.slice(at, at + width).includes(true);
  }

  nextFree(from: number, last: number, width: number): bigint | undefined {
    for (let at = Math.ceil(from / width) * width; at + width - 1 <= last; at += width) {
      if (this.isFree(at, width)) return this.#first + BigInt(at);
    }
    return undefined;
  }
}

const windows: readonly { readonly bits: number; readonly first: bigint; readonly count: number }[] = [
  { bits: 5, first: 0n, count: 32 },
  { bits: 8, first: 0n, count: 256 },
  { bits: 32, first: 0x0a00_0000n, count: 1024 },
  { bits: 32, first: 0xffff_fc00n, count: 1024 },
  { bits: 128, first: 0n, count: 512 },
  { bits: 128, first: 0x2001_0db8n << 96n, count: 2048 },
  { bits: 128, first: (1n << 128n) - 1024n, count: 1024 },
];

for (const { bits, first, count } of windows) {
  test(`10,000 random operations on ${count} numbers from ${first} of ${bits} bits do what a list of all numbers does`, () => {
    const random = new Seeded(bits + count);
    const model = new Model(first, count);
    const widths = Math.log2(count) + 1;
    let space = emptySpace(bits);
    for (let i = 0; i < 10_000; i++) {
      // Small blocks mostly; now and then a large one, which empties or fills.
      const power = Math.min(random.below(widths), random.below(widths), random.below(widths));
      const width = 2 ** power;
      const length = bits - power;
      const at = random.below(count / width) * width;
      const block = { base: first + BigInt(at), length };
      const last = random.below(count);
      const wanted = { length, from: first + BigInt(at), last: first + BigInt(last) };
      assert.equal(isFree(space, block), model.isFree(at, width));
      const next = nextFree(space, wanted);
      assert.equal(next, model.nextFree(at, last, width));
      if (next !== undefined && random.chance(0.5)) {
        space = take(space, { base: next, length });
        model.set(Number(next - first), width, true);
      } else if (random.chance(0.6)) {
        space = take(space, block);
        model.set(at, width, true);
      } else {
        space = giveBack(space, block);
        model.set(at, width, false);
      }
    }
    assert.equal(
      nextFree(space, { length: bits, from: first, last: first + BigInt(count) - 1n }),
      model.nextFree(0, count - 1, 1),
    );
  });
}

const filled = (bits: number, blocks: readonly Block[]): Space => blocks.reduce(take, emptySpace(bits));

test("the same blocks make the same value in any order, and none is left when all are given back", () => {
  const random = new Seeded(1);
  const blocks = Array.from({ length: 400 }, () => {
    const power = random.below(8);
    return { base: BigInt(random.below(2 ** 12)) << BigInt(power), length: 128 - power };
  });
  const shuffled = blocks.map((b) => [random.next(), b] as const).sort(([a], [b]) => a - b);
  const inOrder = filled(128, blocks);
  assert.deepEqual(
    filled(
      128,
      shuffled.map(([, b]) => b),
    ),
    inOrder,
  );
  assert.deepEqual(
    shuffled.reduce((space, [, b]) => giveBack(space, b), inOrder),
    emptySpace(128),
  );
});

test("an operation leaves the value that it was done to as it was", () => {
  const before = filled(32, [{ base: 0x0a00_0000n, length: 30 }]);
  const copy = structuredClone(before);
  const after = giveBack(take(before, { base: 0x0a00_0008n, length: 32 }), { base: 0x0a00_0001n, length: 32 });
  assert.deepEqual(before, copy);
  assert.equal(isFree(before, { base: 0x0a00_0008n, length: 32 }), true);
  assert.equal(isFree(after, { base: 0x0a00_0008n, length: 32 }), false);
});

test("prefixes of every length can be taken, split and given back, the whole space among them", () => {
  for (const bits of [32, 128]) {
    for (let length = 0; length <= bits; length++) {
      const whole = filled(bits, [{ base: 0n, length }]);
      const one = { base: 0n, length: bits };
      const hole = giveBack(whole, one);
      assert.equal(nextFree(whole, { length: bits, from: 0n, last: 0n }), undefined);
      assert.equal(nextFree(hole, { length: bits, from: 0n, last: 0n }), 0n);
      assert.deepEqual(take(hole, one), whole);
      assert.equal(isFree(whole, { base: 0n, length: 0 }), false);
    }
  }
});
