import { create } from "@bufbuild/protobuf";
import type { IP } from "#gen/metalstack/api/v2/ip_pb.ts";
import {
  type Network,
  type NetworkConsumption,
  NetworkConsumptionSchema,
  type NetworkUsage,
  NetworkUsageSchema,
} from "#gen/metalstack/api/v2/network_pb.ts";
import { usableOf } from "./pool.ts";
import { type Family, parseAddress } from "./prefix.ts";
import { parsePrefixes } from "./rules.ts";

/** What the protocol can carry. */
const uint64Max = (1n << 64n) - 1n;

/**
 * How much of each network is in use. One pass over everything, so that a list of networks costs no more than one.
 * @returns a function, so that only what is shown is computed
 */
export function consumptions(
  networks: readonly Network[],
  ips: readonly IP[],
): (network: Network) => NetworkConsumption {
  const ipsOf = grouped(ips, (ip) => ip.network);
  const childrenOf = grouped(networks, (n) => n.parentNetwork);
  return (network) => {
    const parsed = parsePrefixes(network.prefixes);
    const prefixes = parsed.ok ? parsed.value : [];
    const used = ipsOf.get(network.id) ?? [];
    const children = (childrenOf.get(network.id) ?? []).flatMap((child) => child.prefixes);
    const usage = (family: Family): NetworkUsage | undefined => {
      const ours = prefixes.filter((p) => p.family === family);
      if (ours.length === 0) return undefined;
      const length = network.defaultChildPrefixLength?.[family === 4 ? "ipv4" : "ipv6"];
      const room = ours.reduce((sum, p) => sum + usableOf(p), 0n);
      const prefixRoom =
        length === undefined ? 0n : ours.reduce((sum, p) => sum + (1n << BigInt(Math.max(0, length - p.length))), 0n);
      const usedPrefixes = children.filter((text) => text.includes(":") === (family === 6)).length;
      const isOurs = (ip: IP) => {
        const address = parseAddress(ip.ip);
        return address.ok && address.value.family === family;
      };
      return create(NetworkUsageSchema, {
        availableIps: least(room, uint64Max),
        usedIps: BigInt(used.filter(isOurs).length),
        availablePrefixes: least(prefixRoom, uint64Max),
        usedPrefixes: BigInt(usedPrefixes),
      });
    };
    const ipv4 = usage(4);
    const ipv6 = usage(6);
    return create(NetworkConsumptionSchema, { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) });
  };
}

const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);

function grouped<T>(items: readonly T[], keyOf: (item: T) => string | undefined): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    if (key === undefined) continue;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
