// Free-lists as values: what is taken of a space of numbers, such as the addresses of one family, and where there is room.
// What is taken is a tree of aligned blocks that branches only where two of them part, so an operation takes as many steps as there are
// bits at most, at any fill. A node knows the largest free block within it, so a search never enters one where it finds nothing.
// 32 neighbours share one word of bits, so a densely taken space costs one node for 32 of its numbers.
// Nothing is ever changed: an operation makes a new value, which shares with the old one what is the same in both. The same numbers
// taken make the same tree, in whatever order they came.
import { bug } from "#lib/bug.ts";

/** Numbers of `bits` bits, of which some are taken. */
export interface Space {
  /** 5 to 128 */
  readonly bits: number;
  readonly taken: Node | undefined;
}

/** All numbers whose first `length` bits are those of `base`, of which none is set beyond. */
export interface Block {
  readonly base: bigint;
  readonly length: number;
}

/** `room` is the length of the largest free block within the node's own, or `bits + 1` when there is none. */
type Node = Full | Word | Branch;

interface Full extends Block {
  readonly kind: "full";
  readonly room: number;
}

/** 32 numbers, the first at the lowest bit. Neither none nor all are taken. */
interface Word extends Block {
  readonly kind: "word";
  readonly room: number;
  readonly mask: number;
}

/** Something is taken in both halves, but not all of both. */
interface Branch extends Block {
  readonly kind: "branch";
  readonly room: number;
  readonly low: Node;
  readonly high: Node;
}

export interface Wanted {
  /** Of the block: `bits` for a single number. */
  readonly length: number;
  /** The block begins here at the earliest. */
  readonly from: bigint;
  /** The block ends here at the latest. */
  readonly last: bigint;
}

export const emptySpace = (bits: number): Space => ({ bits, taken: undefined });

/** With all of the block taken, whether or not parts of it were. */
export const take = ({ bits, taken }: Space, block: Block): Space => ({
  bits,
  taken: added(bits, taken, leafOf(bits, block)),
});

/** With all of the block free, whether or not parts of it were. */
export const giveBack = ({ bits, taken }: Space, block: Block): Space => ({
  bits,
  taken: taken && without(bits, taken, block),
});

/** Whether nothing of the block is taken. */
export const isFree = (space: Space, { base, length }: Block): boolean =>
  nextFree(space, { length, from: base, last: base + size(space.bits, length) - 1n }) === base;

/** First number of the lowest block that is wholly free; undefined when there is none. */
export function nextFree({ bits, taken }: Space, { length, from, last }: Wanted): bigint | undefined {
  const blockSize = size(bits, length);
  const found = inSlot(bits, taken, { base: 0n, length: 0 }, { length, from: alignedUp(from, blockSize) });
  return found !== undefined && found + blockSize - 1n <= last ? found : undefined;
}

/** Numbers that differ in the last of their bits only. */
const wordBits = 5;

const powers = Array.from({ length: 129 }, (_, i) => 1n << BigInt(i));

/** Of a block. */
const size = (bits: number, length: number): bigint => powers[bits - length] ?? bug(`length ${length} of ${bits} bits`);

const alignedUp = (value: bigint, to: bigint): bigint => (value + to - 1n) & -to;

const later = (a: bigint, b: bigint): bigint => (a < b ? b : a);

const holds = (bits: number, outer: Block, value: bigint): boolean =>
  value >= outer.base && value - outer.base < size(bits, outer.length);

function added(bits: number, node: Node | undefined, leaf: Full | Word): Node {
  if (node === undefined) return leaf;
  if (leaf.length <= node.length && holds(bits, leaf, node.base)) {
    if (leaf.kind === "full" || node.kind === "branch") return leaf;
    return node.kind === "full" ? node : wordOf(bits, node.base, node.mask | leaf.mask);
  }
  if (!holds(bits, node, leaf.base)) return parted(bits, node, leaf);
  if (node.kind !== "branch") return node;
  const { low, high } = node;
  return leaf.base < middle(bits, node)
    ? branchOf(bits, node, added(bits, low, leaf), high)
    : branchOf(bits, node, low, added(bits, high, leaf));
}

function without(bits: number, node: Node, block: Block): Node | undefined {
  if (block.length <= node.length) return holds(bits, block, node.base) ? undefined : node;
  if (!holds(bits, node, block.base)) return node;
  if (node.kind !== "branch" && node.length === bits - wordBits) {
    const mask = (node.kind === "word" ? node.mask : -1) & ~maskOf(bits, block);
    return mask === 0 ? undefined : wordOf(bits, node.base, mask);
  }
  const [low, high] = halvesOf(bits, node);
  if (block.base < middle(bits, node)) {
    const rest = without(bits, low, block);
    return rest ? branchOf(bits, node, rest, high) : high;
  }
  const rest = without(bits, high, block);
  return rest ? branchOf(bits, node, low, rest) : low;
}

const middle = (bits: number, { base, length }: Block): bigint => base + size(bits, length + 1);

function halvesOf(bits: number, node: Node): readonly [Node, Node] {
  if (node.kind === "branch") return [node.low, node.high];
  const length = node.length + 1;
  return [fullOf(bits, { base: node.base, length }), fullOf(bits, { base: middle(bits, node), length })];
}

/** The branch at which two nodes part, of which neither is within the other. */
function parted(bits: number, a: Node, b: Node): Node {
  const length = bits - bitLength(a.base ^ b.base);
  const base = a.base & -size(bits, length);
  return a.base < b.base ? branchOf(bits, { base, length }, a, b) : branchOf(bits, { base, length }, b, a);
}

function branchOf(bits: number, { base, length }: Block, low: Node, high: Node): Node {
  if (isWhole(low, length + 1) && isWhole(high, length + 1)) return fullOf(bits, { base, length });
  const room = Math.min(roomInHalf(low, length + 1), roomInHalf(high, length + 1));
  return { kind: "branch", base, length, room, low, high };
}

const isWhole = (half: Node, length: number): boolean => half.kind === "full" && half.length === length;

/** A node that does not fill its half leaves at least half of it free. */
const roomInHalf = (node: Node, length: number): number => (node.length === length ? node.room : length + 1);

const leafOf = (bits: number, block: Block): Full | Word =>
  block.length <= bits - wordBits ? fullOf(bits, block) : wordOf(bits, block.base & -32n, maskOf(bits, block));

const fullOf = (bits: number, { base, length }: Block): Full => ({ kind: "full", base, length, room: bits + 1 });

function wordOf(bits: number, base: bigint, mask: number): Full | Word {
  const length = bits - wordBits;
  return mask === -1
    ? fullOf(bits, { base, length })
    : { kind: "word", base, length, room: bits - roomBits(~mask), mask };
}

/** The bits of a block within its word, of which it may be all. */
function maskOf(bits: number, { base, length }: Block): number {
  const width = 1 << (bits - length);
  return width === 32 ? -1 : ((1 << width) - 1) << Number(base & 31n);
}

/** Of a word: its largest free block has 2 to the power of this numbers. @param free not 0 */
function roomBits(free: number): number {
  const pairs = free & (free >>> 1) & 0x55555555;
  if (pairs === 0) return 0;
  const fours = pairs & (pairs >>> 2) & 0x11111111;
  if (fours === 0) return 1;
  const eights = fours & (fours >>> 4) & 0x01010101;
  if (eights === 0) return 2;
  return (eights & (eights >>> 8) & 0x00010001) === 0 ? 3 : 4;
}

/** Number of bits up to the highest that is set. */
function bitLength(value: bigint): number {
  let rest = value;
  let length = 0;
  for (; rest > 0xffffffffn; rest >>= 32n) length += 32;
  return length + 32 - Math.clz32(Number(rest));
}

/** `from` is where a block of that length can begin. */
type Search = Omit<Wanted, "last">;

/** Searches a block in which nothing is taken but the node. */
function inSlot(bits: number, node: Node | undefined, slot: Block, search: Search): bigint | undefined {
  if (search.length < slot.length) return undefined;
  const end = slot.base + size(bits, slot.length);
  const from = later(search.from, slot.base);
  if (from >= end) return undefined;
  if (node === undefined) return from;
  if (node.length === slot.length) return inNode(bits, node, search);
  const width = size(bits, search.length);
  if (from + width <= node.base) return from;
  const inside = search.length > node.length ? inNode(bits, node, search) : undefined;
  if (inside !== undefined) return inside;
  const after = alignedUp(node.base + size(bits, node.length), width);
  const beyond = later(after, from);
  return beyond < end ? beyond : undefined;
}

function inNode(bits: number, node: Node, search: Search): bigint | undefined {
  if (node.room > search.length || node.kind === "full") return undefined;
  if (node.kind === "word") return inWord(bits, node, search);
  const { base, low, high } = node;
  const length = node.length + 1;
  return (
    inSlot(bits, low, { base, length }, search) ?? inSlot(bits, high, { base: middle(bits, node), length }, search)
  );
}

function inWord(bits: number, { base, mask }: Word, { length, from }: Search): bigint | undefined {
  const width = 1 << (bits - length);
  for (let at = from > base ? Number(from - base) : 0; at < 32; at += width) {
    if (((mask >>> at) & ((1 << width) - 1)) === 0) return base + BigInt(at);
  }
  return undefined;
}
