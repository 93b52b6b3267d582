// What must hold of networks that partitions make by themselves.
import { kinds } from "#central/store/kinds.ts";
import { budgetOf } from "#domain/budget/items.ts";
import { isChild } from "#domain/network/rules.ts";
import type { Seen } from "./seen.ts";

/** How a network that was just made is not one of its budget's, in words. */
export function* madeBeyond({ truth }: Seen, id: string, budget: string): Iterable<string> {
  const { free, recalled } = truth.get(kinds.budget, budget)?.value ?? {};
  const isListed = [free, recalled].some((items) => items?.networks.includes(id));
  if (!isListed || budgetOf(truth.get(kinds.network, id)?.value) !== budget)
    yield `network ${id} is made, and is not of budget ${budget}`;
}

/**
 * VRFs and prefixes, each of one network alone. All children are of one length, so two of them overlap only if they are the same.
 * @param isUndelegated whether the store has forgotten that the network was delegated: it may be somebody else's by now, and is not
 * adopted then
 */
export function* heldByNetworks(
  { truth, localNetworks }: Seen,
  isUndelegated: (network: string) => boolean,
): Iterable<{ readonly what: string; readonly network: string }> {
  const stored = truth.list(kinds.network).map(({ value }) => value);
  const made = localNetworks().flatMap(({ network, deleted }) => (network && !deleted ? [network] : []));
  const lasting = made.filter(({ id }) => !isUndelegated(id));
  for (const { id, vrf, prefixes } of [...stored, ...lasting].filter(isChild))
    for (const what of [`VRF ${vrf}`, ...prefixes]) yield { what, network: id };
}
