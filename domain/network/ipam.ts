// Which prefixes and addresses are free. Pure: what is taken is handed in.
import { gatewayOf } from "./gateway.ts";
import { type Address, addressAt, bitsOf, containsAddress, lastOf, overlaps, type Prefix, sizeOf } from "./prefix.ts";

/**
 * The lowest free prefix of the given length inside `outer`.
 * @param taken prefixes of any length; those outside do not matter
 * @returns undefined when there is no room, or `length` is shorter than the outer prefix's
 */
export function carve(outer: Prefix, taken: readonly Prefix[], length: number): Prefix | undefined {
  if (length < outer.length || length > bitsOf(outer.family)) return undefined;
  const size = sizeOf({ family: outer.family, length });
  const inside = taken.filter((t) => overlaps(t, outer)).sort((a, b) => (a.network < b.network ? -1 : 1));
  let network = outer.network;
  for (const t of inside) {
    if (t.network >= network + size) break;
    if (lastOf(t) < network) continue;
    const after = lastOf(t) + 1n;
    network = after + ((size - (after % size)) % size);
  }
  return network + size - 1n <= lastOf(outer) ? { family: outer.family, network, length } : undefined;
}

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

/** Number of usable addresses, free or not. */
export function usableOf(p: Prefix): bigint {
  const pool = poolOf(p);
  return pool === undefined ? 0n : pool.last - pool.first + 1n;
}

/**
 * The lowest usable address that is not taken, of the prefixes in their order.
 * @param taken values of the taken addresses of that family (all prefixes must be of one family)
 */
export function nextFree(prefixes: readonly Prefix[], taken: ReadonlySet<bigint>): Address | undefined {
  for (const p of prefixes) {
    const pool = poolOf(p);
    if (pool === undefined) continue;
    for (let value = pool.first; value <= pool.last; value++) {
      if (!taken.has(value)) return addressAt(p, value - p.network);
    }
  }
  return undefined;
}
