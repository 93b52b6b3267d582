// What a partition gave away within its budgets, and what it says of these.
import {
  BudgetUseSchema,
  type LocalAnswer,
  LocalIpSchema,
  LocalMachineSchema,
  LocalNetworkSchema,
} from "#gen/holdfast/state/v1/budget_pb.ts";
import type { ReportEntry } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { type Adoption, adoptIp, adoptMachine } from "../budget/adopt.ts";
import { adoptNetwork } from "../budget/adopt-network.ts";
import { keepReported } from "../idempotency/kept-answers.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { decoded } from "./decoded.ts";
import { settle } from "./settle.ts";
import { type Teller, type Took, unreadable } from "./took.ts";

/** @returns undefined when it is nothing of that */
export function takeGiven(tx: Tx, entry: ReportEntry, from: Teller): Took | undefined {
  const { partition, nowMs } = from;
  const { kind, id, value } = entry;
  switch (kind) {
    case "local-machine": {
      const local = decoded(LocalMachineSchema, value);
      if (local?.uuid !== id) return unreadable(entry);
      return withAnswer(tx, settled(tx, from, adoptMachine(tx, local, partition, nowMs)), local.answer, nowMs);
    }
    case "local-ip": {
      const local = decoded(LocalIpSchema, value);
      if (!local?.ip) return unreadable(entry);
      return withAnswer(tx, orTaken(adoptIp(tx, local, partition)), local.answer, nowMs);
    }
    case "local-network": {
      const local = decoded(LocalNetworkSchema, value);
      if (!local?.network || local.network.id !== id) return unreadable(entry);
      return withAnswer(tx, orTaken(adoptNetwork(tx, local, partition)), local.answer, nowMs);
    }
    case "budget-use": {
      const use = decoded(BudgetUseSchema, value);
      if (use?.budget !== id) return unreadable(entry);
      if (tx.get(kinds.budget, id)?.partition === partition) tx.put(kinds.budgetUse, id, use);
      return {};
    }
    default:
      return undefined;
  }
}

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
