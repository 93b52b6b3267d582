import { consumptionOf } from "#domain/network/consumption.ts";
import { type Network, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

/** What everybody may build upon, beside their own networks. */
export const isBase = (n: Network): boolean =>
  n.type === NetworkType.CHILD_SHARED || (n.project === undefined && n.type !== NetworkType.UNDERLAY);

/** As the public API shows it: with what is in use of it. */
export function networkView(state: State): (network: Network) => Network {
  const ipsOf = state.index(kinds.ip, "network", (ip) => ip.network);
  const childrenOf = state.index(kinds.network, "parent", (n) => n.parentNetwork);
  return (network) => {
    const ips = state.by(ipsOf, network.id).map((row) => row.value);
    const children = state.by(childrenOf, network.id).map((row) => row.value);
    return { ...network, consumption: consumptionOf(network, ips, children) };
  };
}
