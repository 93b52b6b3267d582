// Which networks a machine or a firewall may join together.
import { MachineAllocationType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Network, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { overlaps } from "#lib/net/prefix.ts";
import { isChild, knownPrefixes } from "../network/rules.ts";

const never: ReadonlySet<NetworkType> = new Set([
  NetworkType.UNDERLAY,
  NetworkType.SUPER,
  NetworkType.SUPER_NAMESPACED,
  NetworkType.UNSPECIFIED,
]);

/**
 * A machine lives in exactly one private network. A firewall is between private networks and external ones, and so has at least one of
 * each. The fabric's own networks are for nobody to name: a firewall gets its underlay by itself.
 * @returns what is wrong, in words
 */
export function badJoin(role: MachineAllocationType, networks: readonly Network[]): string | undefined {
  const wrong = networks.find((n) => never.has(n.type));
  if (wrong) return `network ${wrong.id} is a super or underlay network: machines cannot join it`;
  const homes = networks.filter(isChild).length;
  if (role !== MachineAllocationType.FIREWALL) {
    return homes === 1
      ? undefined
      : `exactly one private network (CHILD or CHILD_SHARED) is wanted, ${homes} are named`;
  }
  if (homes === 0) return "a firewall wants at least one private network (CHILD or CHILD_SHARED), none is named";
  if (homes === networks.length) return "a firewall wants at least one external network (EXTERNAL), none is named";
  return overlapping(networks);
}

/** A router cannot tell the same addresses in two networks apart; namespaces allow them. */
function overlapping(networks: readonly Network[]): string | undefined {
  for (const [i, one] of networks.entries()) {
    const ours = knownPrefixes(one.prefixes);
    const other = networks
      .slice(0, i)
      .find((n) => knownPrefixes(n.prefixes).some((p) => ours.some((o) => overlaps(o, p))));
    if (other) return `networks ${other.id} and ${one.id} overlap: no firewall can be between them`;
  }
  return undefined;
}
