// What to hand out next: the lowest that is free, or one further on for those who ask at the same time as others.
import { type Block, emptySpace, nextFree, type Space } from "./ipam.ts";
import { poolOf } from "./pool.ts";
import { type Address, bitsOf, type Family, lastOf, type Prefix } from "./prefix.ts";

export const familySpace = (family: Family): Space => emptySpace(bitsOf(family));

export const prefixBlock = ({ network, length }: Prefix): Block => ({ base: network, length });

export const addressBlock = ({ family, value }: Address): Block => ({ base: value, length: bitsOf(family) });

/**
 * How far beyond the lowest free number to begin to search, which ends with that one. Callers that ask at the same time and draw it
 * apart do not meet.
 * @param room how many numbers there are from the lowest free one to the last
 * @returns below `room`
 */
export type Spread = (room: bigint) => bigint;

export const lowest: Spread = () => 0n;

export const beyond =
  (numbers: number): Spread =>
  (room) =>
    BigInt(numbers) % room;

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
export function freeNumber(
  space: Space,
  { first, last }: { readonly first: bigint; readonly last: bigint },
  spread: Spread,
): bigint | undefined {
  const wanted = { length: space.bits, from: first, last };
  const least = nextFree(space, wanted);
  const further = least === undefined ? 0n : spread(last - least + 1n);
  if (least === undefined || further === 0n) return least;
  return nextFree(space, { ...wanted, from: least + further }) ?? least;
}

/** The lowest free prefix of that length, in the first of the outer ones that has room for it. */
export function freePrefix(space: Space, outer: readonly Prefix[], length: number): Prefix | undefined {
  for (const p of outer) {
    const network = nextFree(space, { length, from: p.network, last: lastOf(p) });
    if (network !== undefined) return { family: p.family, network, length };
  }
  return undefined;
}
