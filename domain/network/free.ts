// What to hand out next: the lowest that is free, or one further on for those who ask at the same time as others.

import { type Address, bitsOf, type Family, lastOf, type Prefix } from "#lib/net/prefix.ts";
import { type Block, emptySpace, nextFree, type Space } from "./ipam.ts";
import { poolOf } from "./pool.ts";

export const familySpace = (family: Family): Space => emptySpace(bitsOf(family));

export const prefixBlock = ({ network, length }: Prefix): Block => ({ base: network, length });

export const addressBlock = ({ family, value }: Address): Block => ({ base: value, length: bitsOf(family) });

/** Numbers from the first to the last. */
export interface Range {
  readonly first: bigint;
  readonly last: bigint;
}

/**
 * Where to begin to search, and in which part; what is free elsewhere is taken when there is nothing in it. Callers that ask at the same
 * time and draw it apart do not meet.
 * @param least the lowest that is free
 */
export type Spread = (pool: Range, least: bigint) => Range & { readonly from: bigint };

export const lowest: Spread = ({ last }, least) => ({ from: least, first: least, last });

/** So many beyond the lowest that is free. */
export const beyond =
  (numbers: number): Spread =>
  ({ last }, least) => ({ from: least + (BigInt(numbers) % (last - least + 1n)), first: least, last });

/**
 * The lowest usable address that is free, of the prefixes in their order, or one beyond it in its prefix.
 * @param prefixes all of one family, which is that of the space
 */
export function freeAddress(space: Space, prefixes: readonly Prefix[], spread: Spread): Address | undefined {
  for (const prefix of prefixes) {
    const pool = poolOf(prefix);
    const value = pool && freeNumber(space, pool, spread);
    if (value !== undefined) return { family: prefix.family, value };
  }
  return undefined;
}

/** The same of a range of numbers. */
export function freeNumber(space: Space, pool: Range, spread: Spread): bigint | undefined {
  const freeIn = (from: bigint, last: bigint) => nextFree(space, { length: space.bits, from, last });
  const least = freeIn(pool.first, pool.last);
  if (least === undefined) return undefined;
  const { from, first, last } = spread(pool, least);
  if (from === least) return least;
  return freeIn(from, last) ?? freeIn(first, last) ?? freeIn(from, pool.last) ?? least;
}

/** The lowest free prefix of that length, in the first of the outer ones that has room for it. */
export function freePrefix(space: Space, outer: readonly Prefix[], length: number): Prefix | undefined {
  for (const p of outer) {
    const network = nextFree(space, { length, from: p.network, last: lastOf(p) });
    if (network !== undefined) return { family: p.family, network, length };
  }
  return undefined;
}
