// Which addresses of a prefix may be given to somebody, free or not.

import { type Address, bitsOf, containsAddress, lastOf, type Prefix } from "#lib/net/prefix.ts";
import { gatewayOf } from "./gateway.ts";

/**
 * The addresses of a prefix that may be given to somebody: without the network address (IPv6: the routers' anycast address),
 * the gateway, and IPv4's broadcast address. Of two addresses the gateway has the first; a single address is usable.
 * @returns first and last, both usable; undefined when there is none
 */
export function poolOf(p: Prefix): { readonly first: bigint; readonly last: bigint } | undefined {
  const gateway = gatewayOf(p);
  if (gateway === undefined) return { first: p.network, last: p.network };
  const isPair = bitsOf(p.family) - p.length === 1;
  const last = p.family === 4 && !isPair ? lastOf(p) - 1n : lastOf(p);
  const first = gateway.value + 1n;
  return first <= last ? { first, last } : undefined;
}

export const isUsable = (p: Prefix, a: Address): boolean => {
  const pool = containsAddress(p, a) ? poolOf(p) : undefined;
  return pool !== undefined && a.value >= pool.first && a.value <= pool.last;
};

/** Whether all that may be given to somebody of a prefix may be so as a part of one of others, too. */
export const isUsableIn = (p: Prefix, others: readonly Prefix[]): boolean => {
  const pool = poolOf(p);
  const isIn = (outer: Prefix) => (value: bigint) => isUsable(outer, { family: p.family, value });
  return pool === undefined || others.some((outer) => [pool.first, pool.last].every(isIn(outer)));
};

/** What two lists both may give to somebody: of two prefixes that overlap, the narrower one. */
export const usableInBoth = (some: readonly Prefix[], others: readonly Prefix[]): Prefix[] =>
  some.flatMap((one) =>
    others.flatMap((other) => {
      const [narrow, wide] = one.length < other.length ? [other, one] : [one, other];
      return isUsableIn(narrow, [wide]) ? [narrow] : [];
    }),
  );

/** Number of usable addresses, free or not. */
export function usableOf(p: Prefix): bigint {
  const pool = poolOf(p);
  return pool === undefined ? 0n : pool.last - pool.first + 1n;
}
