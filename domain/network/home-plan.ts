import { create } from "@bufbuild/protobuf";
import { type Interface, InterfaceSchema, type Route, RouteSchema } from "#gen/holdfast/install/v1/install_pb.ts";
import type { MachineAllocation, MachineNetwork } from "#gen/metalstack/api/v2/machine_pb.ts";
import { gatewayOf } from "./gateway.ts";
import { addressText, containsAddress, type Prefix, parseAddress, parsePrefix } from "./prefix.ts";

const mtu = 1500;

/**
 * How the installed system configures its network: every address of the allocation on the interface that the machine
 * booted from, routes through the first host address of each network.
 * @param mac of that interface
 */
export function homePlan(allocation: MachineAllocation, mac: string): Interface {
  const routes: Route[] = [];
  const addresses: string[] = [];
  for (const network of allocation.networks) {
    const prefixes = network.prefixes.flatMap((text) => okOf(parsePrefix(text)));
    for (const ip of network.ips) {
      const [address] = okOf(parseAddress(ip));
      const prefix = address && prefixes.find((p) => containsAddress(p, address));
      if (!address || !prefix) continue;
      addresses.push(`${addressText(address)}/${prefix.length}`);
      routes.push(...routesOf(network, prefix));
    }
  }
  return create(InterfaceSchema, { mac, addresses, routes: withoutRepeats(routes), mtu });
}

function routesOf(network: MachineNetwork, prefix: Prefix): Route[] {
  const gateway = gatewayOf(prefix);
  if (!gateway) return [];
  const everywhere = prefix.family === 4 ? "0.0.0.0/0" : "::/0";
  const wanted = network.destinationPrefixes.filter((d) =>
    okOf(parsePrefix(d)).some((p) => p.family === prefix.family),
  );
  return (wanted.length > 0 ? wanted : [everywhere]).map((destination) =>
    create(RouteSchema, { destination, gateway: addressText(gateway) }),
  );
}

/** The first network that claims a destination has it. */
const withoutRepeats = (routes: readonly Route[]): Route[] =>
  routes.filter((route, i) => routes.findIndex((r) => r.destination === route.destination) === i);

const okOf = <T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): readonly T[] =>
  result.ok ? [result.value] : [];
