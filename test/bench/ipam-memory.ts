// Spaces at a fill, and how long one search in them takes.
import { addressBlock, beyond, familySpace, freeAddress, lowest } from "#domain/network/free.ts";
import { giveBack, type Space, take } from "#domain/network/ipam.ts";
import { addressAt, type Prefix, sizeOf } from "#lib/net/prefix.ts";
import { Seeded } from "#lib/seeded.ts";
import { nowMs } from "./protocol.ts";

export const fills = [0, 0.5, 0.999] as const;

export interface Cell {
  readonly name: string;
  readonly prefix: Prefix;
  filled(fill: number): Space;
}

const v4 = (length: number): Prefix => ({ family: 4, network: 0x0a00_0000n, length });
const v6: Prefix = { family: 6, network: 0x2001_0db8n << 96n, length: 64 };

/** In IPv4 single addresses are taken, anywhere; of the /64, which nobody can fill one by one, prefixes of 48 bits each. */
export const cells: readonly Cell[] = [
  { name: "/16", prefix: v4(16), filled: (fill) => filled(v4(16), fill, 32) },
  { name: "/8", prefix: v4(8), filled: (fill) => filled(v4(8), fill, 32) },
  { name: "v6 /64", prefix: v6, filled: (fill) => filled(v6, fill, 80) },
];

/** Beginning from what needs fewer steps: nothing, or all. */
function filled(prefix: Prefix, fill: number, length: number): Space {
  const random = new Seeded(1);
  const width = sizeOf({ family: prefix.family, length });
  const blocks = 2 ** (length - prefix.length);
  const isMostlyTaken = fill > 0.5;
  let space = familySpace(prefix.family);
  if (isMostlyTaken) space = take(space, { base: prefix.network, length: prefix.length });
  const change = isMostlyTaken ? giveBack : take;
  const chance = isMostlyTaken ? 1 - fill : fill;
  for (let i = 0; i < blocks; i++) {
    if (random.chance(chance)) space = change(space, { base: prefix.network + BigInt(i) * width, length });
  }
  return space;
}

const searches = 100_000;

/** @returns nanoseconds for one address, found and taken; the fill stays as it is */
export function searched(space: Space, prefix: Prefix, how: "lowest" | "spread"): number {
  const random = new Seeded(2);
  const once = () => {
    const free = freeAddress(space, [prefix], how === "lowest" ? lowest : beyond(1 + random.below(2 ** 31)));
    if (free === undefined) throw new Error("a space is full that is not");
    return take(space, addressBlock(free));
  };
  for (let i = 0; i < searches / 10; i++) once();
  const begin = nowMs();
  for (let i = 0; i < searches; i++) once();
  return ((nowMs() - begin) * 1e6) / searches;
}

/** The same as `searched` by looking at one address of a /16 after the other. @returns nanoseconds */
export function scanned(fill: number): number {
  const random = new Seeded(1);
  const prefix = v4(16);
  const taken = new Set<bigint>();
  for (let i = 2n; i < sizeOf(prefix); i++) if (random.chance(fill)) taken.add(addressAt(prefix, i).value);
  const times = 200;
  const begin = nowMs();
  for (let i = 0; i < times; i++) {
    // The copy is what a value costs that is made anew from what is stored.
    const own = new Set(taken);
    let value = addressAt(prefix, 2n).value;
    while (own.has(value)) value++;
    own.add(value);
  }
  return ((nowMs() - begin) * 1e6) / times;
}
