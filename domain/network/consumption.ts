import { create } from "@bufbuild/protobuf";
import type { IP } from "#gen/metalstack/api/v2/ip_pb.ts";
import {
  type Network,
  type NetworkConsumption,
  NetworkConsumptionSchema,
  type NetworkUsage,
  NetworkUsageSchema,
} from "#gen/metalstack/api/v2/network_pb.ts";
import { type Family, textFamily } from "#lib/net/prefix.ts";
import { usableOf } from "./pool.ts";
import { knownPrefixes } from "./rules.ts";

/** What the protocol can carry. */
const uint64Max = (1n << 64n) - 1n;

/**
 * How much of a network is in use, by family.
 * @param ips all of the network
 * @param children all child networks of it, or those of one namespace
 */
export function consumptionOf(
  network: Network,
  ips: readonly IP[],
  children: readonly Pick<Network, "prefixes">[],
): NetworkConsumption {
  const prefixes = knownPrefixes(network.prefixes);
  const cut = children.flatMap((child) => child.prefixes);
  const usage = (family: Family): NetworkUsage | undefined => {
    const ours = prefixes.filter((p) => p.family === family);
    if (ours.length === 0) return undefined;
    const length = network.defaultChildPrefixLength?.[family === 4 ? "ipv4" : "ipv6"];
    const room = ours.reduce((sum, p) => sum + usableOf(p), 0n);
    const prefixRoom =
      length === undefined ? 0n : ours.reduce((sum, p) => sum + (1n << BigInt(Math.max(0, length - p.length))), 0n);
    const usedPrefixes = cut.filter((text) => textFamily(text) === family).length;
    const usedIps = ips.filter((ip) => textFamily(ip.ip) === family).length;
    return create(NetworkUsageSchema, {
      availableIps: least(room, uint64Max),
      usedIps: BigInt(usedIps),
      availablePrefixes: least(prefixRoom, uint64Max),
      usedPrefixes: BigInt(usedPrefixes),
    });
  };
  const ipv4 = usage(4);
  const ipv6 = usage(6);
  return create(NetworkConsumptionSchema, { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) });
}

const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
