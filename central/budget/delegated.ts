// What is delegated is nobody's but its partition's: who names it is refused.
import type { Message } from "@bufbuild/protobuf";
import { budgetOf } from "#domain/budget/items.ts";
import type { Budget } from "#gen/holdfast/state/v1/budget_pb.ts";
import type { Meta } from "#gen/metalstack/api/v2/common_pb.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { usable } from "../catalog/catalog.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

/** Who holds an autonomous system number that is delegated. */
export const budgetHolder = (id: string): string => `budget/${id}`;

/**
 * @param what the thing, in words
 * @throws Refusal "precondition" for what its partition may give away by itself
 */
export function checkNotDelegated(
  thing: Message & { readonly meta?: Meta | undefined },
  what: string,
  field: string,
): void {
  const budget = budgetOf(thing);
  if (budget === undefined) return;
  throw new Refusal("precondition", `${what} is delegated to a partition by budget ${budget}`, {
    field,
    reason: "DELEGATED",
  });
}

/** As `usable`, a network that is not delegated. */
export function usableNetwork(tx: Tx, id: string): Network {
  const network = usable(tx, kinds.network, id, "network");
  checkNotDelegated(network, `network ${id}`, "network");
  return network;
}

/** Budgets that need a thing, in words. */
export const budgetHolders = (tx: Pick<Tx, "list">, needs: (budget: Budget) => boolean): string[] =>
  tx.list(kinds.budget).flatMap(({ id, value }) => (needs(value) ? [`budget ${id}`] : []));
