// Brings a budget one step nearer to what is wanted of it: delegates what is missing, recalls what is too many, and takes back what its
// agent does not use.
import { create, equals } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  addressesIn,
  budgetOf,
  isEmpty,
  networkAddress,
  noItems,
  ofNetworkAddress,
  recall,
} from "#domain/budget/items.ts";
import { type Budget, type BudgetItems, BudgetItemsSchema, BudgetSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import { MachineLiveliness, MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { copyOf } from "#lib/message.ts";
import { families, textFamily } from "#lib/net/prefix.ts";
import { viewOf } from "../machine/views.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { type DelegatePorts, delegateMore } from "./delegate.ts";
import { doubt } from "./doubt.ts";
import { takeBack } from "./take-back.ts";

/** For so long after a partition has made a network it goes on giving away the addresses that came with it, also once that is central's. */
const youthMs = 5 * 60_000;

/** @returns whether another step has something to do */
export function stepBudget(tx: Tx, id: string, ports: DelegatePorts): boolean {
  const stored = tx.get(kinds.budget, id);
  if (!stored) return false;
  const budget = copyOf(stored);
  const { free = noItems(), recalled = noItems() } = budget;
  Object.assign(budget, { free, recalled });
  recallSurplus(budget, ports.state, ports.nowMs);
  // In a step of its own: one commit has no room for both.
  if (takeBack(tx, budget, ports.state)) {
    tx.put(kinds.budget, id, budget);
    return true;
  }
  if (budget.revoked && isEmpty(free) && isEmpty(budget.recalled ?? recalled)) {
    tx.delete(kinds.budget, id);
    tx.delete(kinds.budgetUse, id);
    return false;
  }
  if (!budget.revoked && doubt(ports.state, budget) === undefined) delegateMore(tx, budget, ports);
  if (equals(BudgetSchema, stored, budget)) return false;
  tx.put(kinds.budget, id, budget);
  return true;
}

function recallSurplus(budget: Budget, state: State, nowMs: number): void {
  const { free } = budget;
  if (!free) return;
  const surplus = budget.revoked ? free : surplusOf(budget, free, state, nowMs);
  if (!isEmpty(surplus)) recall(budget, surplus);
}

function surplusOf(budget: Budget, free: BudgetItems, state: State, nowMs: number): BudgetItems {
  const { machinesWanted, networksWanted } = budget;
  const useless = free.machines.filter((uuid) => isUseless(state, uuid));
  const good = free.machines.filter((uuid) => !useless.includes(uuid));
  const kept = free.networks.slice(0, networksWanted);
  return create(BudgetItemsSchema, {
    machines: [...useless, ...good.slice(machinesWanted)],
    addresses: beyondWanted(budget, free.addresses),
    asns: free.asns.slice(machinesWanted),
    networks: free.networks.slice(networksWanted),
    networkAddresses: [...new Set(free.networkAddresses.map((one) => ofNetworkAddress(one).network))].flatMap((id) => {
      const listed = addressesIn(id, { network: "" }, free);
      const surplus = kept.includes(id) ? beyondWanted(budget, listed) : isYoung(state, id, nowMs) ? [] : listed;
      return surplus.map((ip) => networkAddress(id, ip));
    }),
  });
}

const beyondWanted = ({ addressesWanted }: Budget, listed: readonly string[]): string[] =>
  families.flatMap((family) => listed.filter((ip) => textFamily(ip) === family).slice(addressesWanted));

/** A network that its partition has just made, and central adopted: machines are likely to follow. */
function isYoung(state: State, id: string, nowMs: number): boolean {
  const network = state.get(kinds.network, id)?.value;
  const createdAt = network?.meta?.createdAt;
  return createdAt !== undefined && budgetOf(network) === undefined && timestampMs(createdAt) + youthMs > nowMs;
}

/** One that nobody could be given. */
function isUseless(state: State, uuid: string): boolean {
  const view = viewOf(state, uuid);
  return (
    view?.observed?.liveliness === MachineLiveliness.DEAD || view?.desired.condition?.state === MachineState.LOCKED
  );
}
