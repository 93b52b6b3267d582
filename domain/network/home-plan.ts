import { create } from "@bufbuild/protobuf";
import { type Interface, InterfaceSchema, type Route, RouteSchema } from "#gen/holdfast/install/v1/install_pb.ts";
import {
  type MachineAllocation,
  MachineAllocationType,
  type MachineNetwork,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import {
  addressText,
  containsAddress,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixText,
  textFamily,
} from "#lib/net/prefix.ts";
import { gatewayOf } from "./gateway.ts";

const mtu = 1500;

/**
 * How the installed system configures its network: every address of the allocation on the interface that the machine
 * booted from, routes through the first host address of each network. A firewall has its address of the underlay on its loopback
 * interface, as no cable is in that network, and leaves through external networks only: into private ones it is the way itself.
 * @param mac of that interface
 */
export function homePlan(allocation: MachineAllocation, mac: string): Interface[] {
  const isFirewall = allocation.allocationType === MachineAllocationType.FIREWALL;
  const isUnderlay = ({ networkType }: MachineNetwork) => networkType === NetworkType.UNDERLAY;
  const isWayOut = ({ networkType }: MachineNetwork) => !isFirewall || networkType === NetworkType.EXTERNAL;
  const routes: Route[] = [];
  const addresses: string[] = [];
  for (const network of allocation.networks.filter((n) => !isUnderlay(n))) {
    const prefixes = network.prefixes.flatMap((text) => okOf(parsePrefix(text)));
    for (const ip of network.ips) {
      const [address] = okOf(parseAddress(ip));
      const prefix = address && prefixes.find((p) => containsAddress(p, address));
      if (!address || !prefix) continue;
      addresses.push(`${addressText(address)}/${prefix.length}`);
      if (isWayOut(network)) routes.push(...routesOf(network, prefix));
    }
  }
  const home = create(InterfaceSchema, { mac, addresses, routes: withoutRepeats(routes), mtu });
  const loopback = allocation.networks.filter(isUnderlay).flatMap((n) => n.ips.map((ip) => `${ip}/32`));
  return loopback.length === 0 ? [home] : [home, create(InterfaceSchema, { name: "lo", addresses: loopback })];
}

function routesOf(network: MachineNetwork, prefix: Prefix): Route[] {
  const gateway = gatewayOf(prefix);
  if (!gateway) return [];
  const everywhere = prefix.family === 4 ? "0.0.0.0/0" : "::/0";
  const wanted = network.destinationPrefixes.filter((text) => textFamily(text) === prefix.family);
  const destinations =
    wanted.length > 0 ? wanted.flatMap((text) => okOf(parsePrefix(text)).map(prefixText)) : [everywhere];
  return destinations.map((destination) => create(RouteSchema, { destination, gateway: addressText(gateway) }));
}

/** Destinations that lead nowhere: they cannot be read. A default route in place of them could lead where nobody meant it to. */
export const unreadableDestinations = ({ networks }: MachineAllocation): string[] =>
  networks.flatMap((network) => network.destinationPrefixes.filter((text) => !parsePrefix(text).ok));

/** The first network that claims a destination has it. */
const withoutRepeats = (routes: readonly Route[]): Route[] =>
  routes.filter((route, i) => routes.findIndex((r) => r.destination === route.destination) === i);

const okOf = <T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): readonly T[] =>
  result.ok ? [result.value] : [];
