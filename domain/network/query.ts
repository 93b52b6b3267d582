import { type Network, NetworkAddressFamily, type NetworkQuery } from "#gen/metalstack/api/v2/network_pb.ts";
import { families, textFamily } from "#lib/net/prefix.ts";
import { hasLabels } from "../meta.ts";

export function networkMatches(network: Network, q: NetworkQuery | undefined): boolean {
  if (q === undefined) return true;
  return (
    (q.id === undefined || network.id === q.id) &&
    (q.name === undefined || network.name === q.name) &&
    (q.description === undefined || network.description === q.description) &&
    (q.partition === undefined || network.partition === q.partition) &&
    (q.project === undefined || network.project === q.project) &&
    (q.namespace === undefined || network.namespace === q.namespace) &&
    q.prefixes.every((p) => network.prefixes.includes(p)) &&
    q.destinationPrefixes.every((p) => network.destinationPrefixes.includes(p)) &&
    (q.vrf === undefined || network.vrf === q.vrf) &&
    (q.parentNetwork === undefined || network.parentNetwork === q.parentNetwork) &&
    (q.addressFamily === undefined || familyOf(network) === q.addressFamily) &&
    (q.type === undefined || network.type === q.type) &&
    (q.natType === undefined || network.natType === q.natType) &&
    hasLabels(network.meta, q.labels)
  );
}

/** Which families a network's prefixes are of. */
export function familyOf(network: Pick<Network, "prefixes">): NetworkAddressFamily {
  const [v4, v6] = families.map((family) => network.prefixes.some((p) => textFamily(p) === family));
  if (v4 && v6) return NetworkAddressFamily.DUAL_STACK;
  return v4 ? NetworkAddressFamily.V4 : v6 ? NetworkAddressFamily.V6 : NetworkAddressFamily.UNSPECIFIED;
}
