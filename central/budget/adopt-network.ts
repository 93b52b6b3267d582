// A network that a partition has made becomes an ordinary one in one commit. The addresses that came with it stay delegated by name for
// a while, so central may use all others from then on.
import { create } from "@bufbuild/protobuf";
import { budgetOf, recall } from "#domain/budget/items.ts";
import { knownPrefixes } from "#domain/network/rules.ts";
import { BudgetItemsSchema, type LocalNetwork } from "#gen/holdfast/state/v1/budget_pb.ts";
import { type Network, NetworkSchema } from "#gen/metalstack/api/v2/network_pb.ts";
import { copyOf } from "#lib/message.ts";
import { overlaps } from "#lib/net/prefix.ts";
import { claimTurn } from "../catalog/claim.ts";
import { holderOfVrf, takeVrf } from "../network/vrf.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { budgetConflict, leaveBudget, withoutOurLabels } from "./adopt.ts";

/** @returns why it never will be adopted; undefined when it was, or had been before */
export function adoptNetwork(tx: Tx, local: LocalNetwork, partition: string): string | undefined {
  const { network, budget, deleted } = local;
  if (!network?.project || (network.partition ?? partition) !== partition)
    return `a network of a project, in partition ${partition}, is wanted`;
  const { id, project } = network;
  if (!tx.get(kinds.project, project)) return `project ${project} does not exist`;
  const foreign = budgetConflict(tx, budget, partition);
  if (foreign !== undefined) return foreign;
  const row = tx.get(kinds.network, id);
  if (row && row.project !== project) return `network ${id} is somebody else's`;
  if (deleted) return row && giveUp(tx, row, budget);
  if (row && budgetOf(row) === undefined) return undefined;
  const restored = row ? undefined : restoredConflict(tx, network);
  if (restored !== undefined) return restored;
  // Of what central has cut, nothing is the partition's to say.
  const { name, description, meta } = withoutOurLabels(network);
  tx.put(kinds.network, id, create(NetworkSchema, { ...(row ?? network), name, description, ...(meta && { meta }) }));
  leaveBudget(tx, budget, () => create(BudgetItemsSchema, { networks: [id] }));
  return undefined;
}

/**
 * What its partition has deleted is taken back when nothing is in it any more: machines that were in it give their addresses back
 * when their ports are isolated.
 */
function giveUp(tx: Tx, row: Network, id: string): string | undefined {
  const budget = tx.get(kinds.budget, id);
  const isAdopted = budgetOf(row) === undefined;
  if (!budget || isAdopted) return `network ${row.id} is an ordinary one by now: delete it at central`;
  const next = copyOf(budget);
  recall(next, create(BudgetItemsSchema, { networks: [row.id] }));
  tx.put(kinds.budget, id, next);
  return undefined;
}

/** Central was restored from a copy that is older than the delegation: what the network is made of may be somebody's by now. */
function restoredConflict(tx: Tx, network: Network): string | undefined {
  const { id, parentNetwork = "", namespace, vrf } = network;
  const parent = tx.get(kinds.network, parentNetwork);
  if (!parent) return `network ${parentNetwork}, which network ${id} was cut out of, does not exist`;
  claimTurn(tx, `prefixes/${parentNetwork}`);
  const ours = knownPrefixes(network.prefixes);
  const isInTheWay = (other: Network) =>
    other.parentNetwork === parentNetwork &&
    other.namespace === namespace &&
    knownPrefixes(other.prefixes).some((p) => ours.some((our) => overlaps(our, p)));
  const other = tx.list(kinds.network).find(({ value }) => isInTheWay(value));
  if (other) return `prefixes ${network.prefixes.join(", ")} are taken by network ${other.id}`;
  if (vrf === undefined || vrf === parent.vrf) return undefined;
  const holder = holderOfVrf(tx, vrf);
  if (holder !== undefined) return `VRF ${vrf} is taken by network ${holder}`;
  takeVrf(tx, vrf, id);
  return undefined;
}
