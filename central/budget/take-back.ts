// What is recalled becomes central's again: by the word of its agent, or because nothing can use it any more.
import { create } from "@bufbuild/protobuf";
import { budgetOf, isEmpty, noItems, ofNetworkAddress, withoutItems } from "#domain/budget/items.ts";
import { ipId } from "#domain/ip/ip-id.ts";
import { nextEpoch } from "#domain/machine/epoch.ts";
import { type Budget, type BudgetItems, BudgetItemsSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import { copyOf } from "#lib/message.ts";
import { holderOf, unclaim } from "../catalog/claim.ts";
import { ipIndexes } from "../ip/indexes.ts";
import { asnClaim } from "../machine/asn.ts";
import { isTold } from "../machine/told.ts";
import { giveBackVrf } from "../network/vrf.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { budgetHolder } from "./delegated.ts";

/** Of each kind of thing, what one transaction takes back; a commit has room for 127 writes and their record. */
const atOnce = { machines: 16, addresses: 16, asns: 16, networks: 4, networkAddresses: 48 };

/** Edits the budget. @returns whether there was something to take back */
export function takeBack(tx: Tx, budget: Budget, state: State): boolean {
  const { recalled = noItems() } = budget;
  const unused = budget.outbox === "" ? provenUnused(budget, recalled, state) : saidUnused(tx, budget, recalled, state);
  const isVacant = (id: string) => tx.by(ipIndexes(state).byNetwork, id).length === 0;
  const back = create(BudgetItemsSchema, {
    machines: unused.machines.slice(0, atOnce.machines),
    addresses: unused.addresses.slice(0, atOnce.addresses),
    asns: unused.asns.slice(0, atOnce.asns),
    networks: unused.networks.filter(isVacant).slice(0, atOnce.networks),
    networkAddresses: unused.networkAddresses.slice(0, atOnce.networkAddresses),
  });
  for (const uuid of back.machines) freeMachine(tx, uuid, budget);
  for (const ip of back.addresses) freeAddress(tx, budget.network, ip, budget);
  for (const asn of back.asns) if (holderOf(tx, asnClaim(asn)) === budgetHolder(budget.id)) unclaim(tx, asnClaim(asn));
  for (const id of back.networks) freeNetwork(tx, id, budget);
  for (const { network, ip } of back.networkAddresses.map(ofNetworkAddress)) freeAddress(tx, network, ip, budget);
  budget.recalled = withoutItems(recalled, back);
  return !isEmpty(back);
}

/** One that works for more than central knows of, as after a restore, is somebody's: under its old epoch its agent leaves it alone. */
function freeMachine(tx: Tx, uuid: string, { id }: Budget): void {
  const desired = tx.get(kinds.machineDesired, uuid);
  if (desired?.delegated?.budget !== id) return;
  const next = copyOf(desired);
  const worked = tx.get(kinds.machineObserved, uuid)?.workedEpoch ?? 0n;
  if (worked <= desired.epoch) next.epoch = nextEpoch(desired, undefined);
  delete next.delegated;
  tx.put(kinds.machineDesired, uuid, next);
}

function freeAddress(tx: Tx, network: string, ip: string, { id }: Budget): void {
  const key = ipId(tx.get(kinds.network, network)?.namespace, ip);
  if (budgetOf(tx.get(kinds.ip, key)) === id) tx.delete(kinds.ip, key);
}

/** Nobody else has begun to use it: whatever names a network reads its label in the same transaction. */
function freeNetwork(tx: Tx, network: string, { id }: Budget): void {
  const stored = tx.get(kinds.network, network);
  if (!stored || budgetOf(stored) !== id) return;
  giveBackVrf(tx, stored.vrf, network);
  tx.delete(kinds.network, network);
}

/** Not before everything was told to a restored store, which may hold an old word of it. */
function saidUnused(tx: Tx, budget: Budget, recalled: BudgetItems, state: State): BudgetItems {
  const { id, generation, partition } = budget;
  if (isEmpty(recalled)) return recalled;
  if (!isTold(state, partition)) return noItems();
  const use = tx.get(kinds.budgetUse, id);
  return use?.generation === generation ? withoutItems(recalled, use.used ?? noItems()) : noItems();
}

/**
 * All of it once each machine was isolated that the agent whose disk is lost may have given away for the project: also those of other
 * budgets, which may be in a network of this one.
 */
function provenUnused({ partition, project }: Budget, recalled: BudgetItems, state: State): BudgetItems {
  const now = state.get(kinds.reportCursor, partition)?.value.outbox;
  const isLost = (b: Budget) => b.partition === partition && b.project === project && b.outbox !== now;
  const lost = state.list(kinds.budget, isLost).flatMap(({ value }) => [value.free, value.recalled]);
  const isOut = (uuid: string) => {
    const desired = state.get(kinds.machineDesired, uuid)?.value;
    return !desired?.delegated && !desired?.release;
  };
  return lost.every((items) => items?.machines.every(isOut) ?? true) ? recalled : noItems();
}
