import { consumptionOf } from "#domain/network/consumption.ts";
import { type Network, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { ipIndexes } from "../ip/indexes.ts";
import type { State } from "../store/state.ts";
import { networkIndexes } from "./indexes.ts";

/** What everybody may build upon, beside their own networks. */
export const isBase = (n: Network): boolean =>
  n.type === NetworkType.CHILD_SHARED || (n.project === undefined && n.type !== NetworkType.UNDERLAY);

/**
 * As the public API shows it: with what is in use of it.
 * @param project that is asked for: in a namespaced super network each has the same room, in a namespace of its own
 */
export function networkView(state: State): (network: Network, project?: string) => Network {
  const { byNetwork } = ipIndexes(state);
  const { byParent } = networkIndexes(state);
  return (network, project) => {
    const isTold = ({ namespace }: Network) =>
      network.type !== NetworkType.SUPER_NAMESPACED || (namespace !== undefined && namespace === project);
    const ips = state.by(byNetwork, network.id).map((row) => row.value);
    const children = state.by(byParent, network.id).flatMap(({ value }) => (isTold(value) ? [value] : []));
    return { ...network, consumption: consumptionOf(network, ips, children) };
  };
}
