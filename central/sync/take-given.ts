// What a partition gave away within its budgets, and what it says of these.
import {
  BudgetUseSchema,
  type LocalAnswer,
  LocalIpSchema,
  LocalMachineSchema,
  LocalNetworkSchema,
} from "#gen/holdfast/state/v1/budget_pb.ts";
import { type Adoption, adoptIp, adoptMachine } from "../budget/adopt.ts";
import { adoptNetwork } from "../budget/adopt-network.ts";
import { keepReported } from "../idempotency/kept-answers.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { decoded } from "./decoded.ts";
import { settle } from "./settle.ts";
import { type Takers, type Teller, type Took, unreadable } from "./took.ts";

export const takersOfGiven: Takers = {
  "local-machine": (tx, entry, from) => {
    const local = decoded(LocalMachineSchema, entry.value);
    if (local?.uuid !== entry.id) return unreadable(entry);
    const { partition, nowMs } = from;
    return withAnswer(tx, settled(tx, from, adoptMachine(tx, local, partition, nowMs)), local.answer, nowMs);
  },

  "local-ip": (tx, entry, { partition, nowMs }) => {
    const local = decoded(LocalIpSchema, entry.value);
    if (!local?.ip) return unreadable(entry);
    return withAnswer(tx, orTaken(adoptIp(tx, local, partition)), local.answer, nowMs);
  },

  "local-network": (tx, entry, { partition, nowMs }) => {
    const local = decoded(LocalNetworkSchema, entry.value);
    if (!local?.network || local.network.id !== entry.id) return unreadable(entry);
    return withAnswer(tx, orTaken(adoptNetwork(tx, local, partition)), local.answer, nowMs);
  },

  "budget-use": (tx, entry, { partition }) => {
    const use = decoded(BudgetUseSchema, entry.value);
    if (use?.budget !== entry.id) return unreadable(entry);
    if (tx.get(kinds.budget, entry.id)?.partition === partition) tx.put(kinds.budgetUse, entry.id, use);
    return {};
  },
};

const orTaken = (rejected: string | undefined): Took => (rejected === undefined ? {} : { rejected });

/** What is given back may be isolated already. */
function settled(tx: Tx, { byMachine }: Teller, { rejected, desired }: Adoption): Took {
  if (rejected !== undefined) return { rejected };
  const observed = desired && tx.get(kinds.machineObserved, desired.uuid);
  const next = desired && observed && settle(tx, byMachine, desired, observed);
  if (next) tx.put(kinds.machineDesired, next.uuid, next);
  return { isUnsettled: next?.release !== undefined };
}

/** With what was adopted, the answer to the call that made it. */
function withAnswer(tx: Tx, took: Took, answer: LocalAnswer | undefined, nowMs: number): Took {
  if (took.rejected === undefined && answer) keepReported(tx, answer, nowMs);
  return took;
}
