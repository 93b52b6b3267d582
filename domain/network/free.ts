// What to hand out next: the lowest that is free, or one further on for those who ask at the same time as others.
import { type Block, emptySpace, nextFree, type Space } from "./ipam.ts";
import { poolOf } from "./pool.ts";
import { type Address, bitsOf, type Family, lastOf, type Prefix } from "./prefix.ts";

export const familySpace = (family: Family): Space => emptySpace(bitsOf(family));

export const prefixBlock = ({ network, length }: Prefix): Block => ({ base: network, length });

export const addressBlock = ({ family, value }: Address): Block => ({ base: value, length: bitsOf(family) });

/**
 * The lowest usable address that is free, of the prefixes in their order.
 * @param prefixes all of one family, which is that of the space
 * @param spread when not 0, the search begins as many addresses beyond that one, in its prefix, and ends with it. Callers that ask at
 * the same time and draw it apart do not meet.
 */
export function freeAddress(space: Space, prefixes: readonly Prefix[], spread: number): Address | undefined {
  for (const prefix of prefixes) {
    const pool = poolOf(prefix);
    const value = pool && freeNumber(space, pool, spread);
    if (value !== undefined) return { family: prefix.family, value };
  }
  return undefined;
}

/** The same of a range of numbers. */
export function freeNumber(
  space: Space,
  { first, last }: { readonly first: bigint; readonly last: bigint },
  spread: number,
): bigint | undefined {
  const wanted = { length: space.bits, from: first, last };
  const lowest = nextFree(space, wanted);
  if (lowest === undefined || spread === 0) return lowest;
  const from = lowest + (BigInt(spread) % (last - lowest + 1n));
  return nextFree(space, { ...wanted, from }) ?? lowest;
}

/** The lowest free prefix of that length, in the first of the outer ones that has room for it. */
export function freePrefix(space: Space, outer: readonly Prefix[], length: number): Prefix | undefined {
  for (const p of outer) {
    const network = nextFree(space, { length, from: p.network, last: lastOf(p) });
    if (network !== undefined) return { family: p.family, network, length };
  }
  return undefined;
}
