// What a budget is made of: machines, addresses, autonomous system numbers and private networks, each by name.
import { create } from "@bufbuild/protobuf";
import {
  type Budget,
  type BudgetItems,
  BudgetItemsSchema,
  type LocalIp,
  type LocalMachine,
  type LocalNetwork,
} from "#gen/holdfast/state/v1/budget_pb.ts";
import type { Labels, Meta, UpdateLabels } from "#gen/metalstack/api/v2/common_pb.ts";
import type { IP } from "#gen/metalstack/api/v2/ip_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { labelsTouched } from "../meta.ts";

/** Label of an address or a network that is delegated: which budget it is of. */
export const budgetLabel = "holdfast.io/budget";

/** Which budget a thing is delegated by. */
export const budgetOf = (thing: { readonly meta?: Meta | undefined } | undefined): string | undefined =>
  thing?.meta?.labels?.labels[budgetLabel];

/** @throws Refusal "invalid" for labels, or a change of them, by which a thing would seem to be delegated, or not to be */
export function checkBudgetLabel(labels: Labels | UpdateLabels | undefined): void {
  if (labelsTouched(labels).includes(budgetLabel))
    throw new Refusal("invalid", `label ${budgetLabel} is set by budgets`, { field: "labels" });
}

export const noItems = (): BudgetItems => create(BudgetItemsSchema);

export const isEmpty = ({ machines, addresses, asns, networks, networkAddresses }: BudgetItems): boolean =>
  machines.length + addresses.length + asns.length + networks.length + networkAddresses.length === 0;

/** What of the first is not in the second. */
export const withoutItems = (items: BudgetItems, gone: BudgetItems): BudgetItems =>
  create(BudgetItemsSchema, {
    machines: items.machines.filter((one) => !gone.machines.includes(one)),
    addresses: items.addresses.filter((one) => !gone.addresses.includes(one)),
    asns: items.asns.filter((one) => !gone.asns.includes(one)),
    networks: items.networks.filter((one) => !gone.networks.includes(one)),
    networkAddresses: items.networkAddresses.filter((one) => !gone.networkAddresses.includes(one)),
  });

/** Of both; none of them twice, in order. */
export const withItems = (a: BudgetItems, b: BudgetItems): BudgetItems =>
  create(BudgetItemsSchema, {
    machines: [...new Set([...a.machines, ...b.machines])].sort(),
    addresses: [...new Set([...a.addresses, ...b.addresses])],
    asns: [...new Set([...a.asns, ...b.asns])].sort((x, y) => x - y),
    networks: [...new Set([...a.networks, ...b.networks])],
    networkAddresses: [...new Set([...a.networkAddresses, ...b.networkAddresses])],
  });

/** Asks for items back: not to be used from now on, as their agent learns by the generation. Edits the budget. */
export function recall(budget: Budget, items: BudgetItems): void {
  budget.free = withoutItems(budget.free ?? noItems(), items);
  budget.recalled = withItems(budget.recalled ?? noItems(), items);
  budget.generation++;
}

/** An address of a network that is delegated, as budgets list it. */
export const networkAddress = (network: string, ip: string): string => `${network}/${ip}`;

/** The network, and the address, of one that a budget lists. */
export function ofNetworkAddress(listed: string): { readonly network: string; readonly ip: string } {
  const at = listed.indexOf("/");
  return { network: listed.slice(0, at), ip: listed.slice(at + 1) };
}

/** All addresses of a network that a budget lists among the items. */
export const addressesIn = (network: string, budget: Pick<Budget, "network">, items: BudgetItems): string[] => [
  ...(budget.network === network ? items.addresses : []),
  ...items.networkAddresses.map(ofNetworkAddress).flatMap((one) => (one.network === network ? [one.ip] : [])),
];

/** How a budget lists addresses. */
export const addressItems = (ips: readonly IP[], budget: Pick<Budget, "network">): BudgetItems =>
  create(BudgetItemsSchema, {
    addresses: ips.flatMap(({ ip, network }) => (network === budget.network ? [ip] : [])),
    networkAddresses: ips.map(({ ip, network }) => networkAddress(network, ip)),
  });

/** The machine and the numbers that one which was given away in its partition holds, or held until it was given back. */
export function machineItems({ uuid, allocation, release }: LocalMachine): BudgetItems {
  const asns = allocation ? allocation.networks.map(({ asn }) => asn) : (release?.asns ?? []);
  return create(BudgetItemsSchema, { machines: [uuid], asns: [...new Set(asns)] });
}

export interface Locals {
  readonly machines: readonly LocalMachine[];
  readonly ips: readonly LocalIp[];
  readonly networks: readonly LocalNetwork[];
}

/** What of a budget was used in its partition, also what was given back meanwhile. What is listed beyond it is of other budgets. */
export const usedItems = ({ machines, ips, networks }: Locals, budget: Pick<Budget, "network">): BudgetItems =>
  [
    ...machines.map(machineItems),
    addressItems([...machines.flatMap((local) => local.ips), ...ips.flatMap(({ ip }) => ip ?? [])], budget),
    create(BudgetItemsSchema, { networks: networks.flatMap(({ network }) => network?.id ?? []) }),
  ].reduce(withItems, noItems());
