import { budgetLabel } from "#domain/budget/items.ts";
import type { Budget } from "#gen/holdfast/state/v1/budget_pb.ts";
import type { IP } from "#gen/metalstack/api/v2/ip_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

/** @throws Refusal "precondition" for an address that its partition may give away by itself */
export function checkNotDelegated({ ip, meta }: IP, field = "ip"): void {
  const budget = meta?.labels?.labels[budgetLabel];
  if (budget === undefined) return;
  throw new Refusal("precondition", `address ${ip} is delegated to a partition by budget ${budget}`, {
    field,
    reason: "DELEGATED",
  });
}

/** Budgets that need a thing, in words. */
export const budgetHolders = (tx: Pick<Tx, "list">, needs: (budget: Budget) => boolean): string[] =>
  tx.list(kinds.budget).flatMap(({ id, value }) => (needs(value) ? [`budget ${id}`] : []));
