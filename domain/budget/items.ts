// What a budget is made of: machines, addresses and autonomous system numbers, each by name.
import { create } from "@bufbuild/protobuf";
import { type BudgetItems, BudgetItemsSchema, type LocalMachine } from "#gen/holdfast/state/v1/budget_pb.ts";

/** Label of an address that is delegated: which budget it is of. */
export const budgetLabel = "holdfast.io/budget";

export const noItems = (): BudgetItems => create(BudgetItemsSchema);

export const isEmpty = ({ machines, addresses, asns }: BudgetItems): boolean =>
  machines.length + addresses.length + asns.length === 0;

/** What of the first is not in the second. */
export const withoutItems = (items: BudgetItems, gone: BudgetItems): BudgetItems =>
  create(BudgetItemsSchema, {
    machines: items.machines.filter((one) => !gone.machines.includes(one)),
    addresses: items.addresses.filter((one) => !gone.addresses.includes(one)),
    asns: items.asns.filter((one) => !gone.asns.includes(one)),
  });

/** Of both; none of them twice, in order. */
export const withItems = (a: BudgetItems, b: BudgetItems): BudgetItems =>
  create(BudgetItemsSchema, {
    machines: [...new Set([...a.machines, ...b.machines])].sort(),
    addresses: [...new Set([...a.addresses, ...b.addresses])],
    asns: [...new Set([...a.asns, ...b.asns])].sort((x, y) => x - y),
  });

/** What a machine that was given away in its partition holds, or held until it was given back. */
export function itemsOf({ uuid, allocation, release, ips }: LocalMachine): BudgetItems {
  const asns = allocation ? allocation.networks.map(({ asn }) => asn) : (release?.asns ?? []);
  return create(BudgetItemsSchema, { machines: [uuid], addresses: ips.map(({ ip }) => ip), asns: [...new Set(asns)] });
}
