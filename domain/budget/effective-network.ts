import type { LocalNetwork } from "#gen/holdfast/state/v1/budget_pb.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import { budgetOf } from "./items.ts";

/**
 * What a network is in its partition: the agent's own word until central has adopted it, then central's. One that is delegated and that
 * nobody has made is not there yet.
 * @param told central's word
 */
export function effectiveNetwork(told: Network | undefined, local: LocalNetwork | undefined): Network | undefined {
  if (told !== undefined && budgetOf(told) === undefined) return told;
  return local?.deleted ? undefined : local?.network;
}
