// What a partition gave away by itself becomes an ordinary allocation, or an ordinary release, in one commit. Its items leave the budget.
import { clone, create } from "@bufbuild/protobuf";
import { budgetLabel, itemsOf, withoutItems } from "#domain/budget/items.ts";
import { ipId } from "#domain/ip/ip-id.ts";
import { machineLabel } from "#domain/ip/machine-label.ts";
import { withdrawStale } from "#domain/machine/bmc-order.ts";
import { epochMax } from "#domain/machine/epoch.ts";
import { firstDesired } from "#domain/machine/first-desired.ts";
import { touched } from "#domain/meta.ts";
import {
  type BudgetItems,
  BudgetItemsSchema,
  BudgetSchema,
  type LocalIp,
  type LocalMachine,
} from "#gen/holdfast/state/v1/budget_pb.ts";
import { type MachineDesired, MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { IP } from "#gen/metalstack/api/v2/ip_pb.ts";
import { claim, holderOf } from "../catalog/claim.ts";
import { asnClaim } from "../machine/asn.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { budgetHolder } from "./step.ts";

export interface Adoption {
  /** Why it never will be; absent when it was, or had been before. */
  readonly rejected?: string;
  /** What is wanted of the machine from now on. */
  readonly desired?: MachineDesired;
}

export function adoptMachine(tx: Tx, local: LocalMachine, partition: string, nowMs: number): Adoption {
  const { uuid, epoch, allocation, release } = local;
  const observed = tx.get(kinds.machineObserved, uuid);
  const known = tx.get(kinds.machineDesired, uuid);
  const before = known ?? (observed && firstDesired(observed, nowMs));
  if (!before || before.partition !== partition)
    return { rejected: `machine ${uuid} is not of partition ${partition}` };
  // One that central knows of already, or that an administrator overruled.
  if (known && epoch <= known.epoch) return {};
  const id = allocation?.uuid ?? release?.allocation ?? "";
  if (before.allocation && before.allocation.uuid !== id)
    return { rejected: `machine ${uuid} is allocated to project ${before.allocation.project}` };
  if (epoch > (before.delegated?.epochLast ?? epochMax))
    return { rejected: `machine ${uuid}: epoch ${epoch} is beyond what was delegated` };
  const conflict = conflictOf(tx, local, id, partition);
  if (conflict !== undefined) return { rejected: `machine ${uuid}: ${conflict}` };
  for (const ip of local.ips) tx.put(kinds.ip, ipId(ip.namespace, ip.ip), ip);
  for (const asn of itemsOf(local).asns) claim(tx, asnClaim(asn), id);
  leaveBudget(tx, local.budget, itemsOf(local));
  const next = clone(MachineDesiredSchema, before);
  next.epoch = epoch;
  withdrawStale(next, nowMs);
  next.meta = touched(before.meta, nowMs);
  delete next.delegated;
  delete next.allocation;
  delete next.release;
  delete next.reinstall;
  if (allocation) next.allocation = allocation;
  else if (release) next.release = release;
  tx.put(kinds.machineDesired, uuid, next);
  return { desired: next };
}

/** Everything that it holds is its own already, of its budget, or free, as after a restore of the store. */
function conflictOf(tx: Tx, local: LocalMachine, allocation: string, partition: string): string | undefined {
  const { budget, uuid, ips } = local;
  const project = local.allocation?.project ?? local.release?.project ?? "";
  if (!tx.get(kinds.project, project)) return `project ${project} does not exist`;
  const foreign = budgetConflict(tx, budget, partition);
  if (foreign !== undefined) return foreign;
  for (const ip of ips) {
    const network = tx.get(kinds.network, ip.network);
    if (network?.namespace !== ip.namespace || (network?.project ?? project) !== project)
      return `network ${ip.network} is not for project ${project}`;
    if (!isOpen(tx.get(kinds.ip, ipId(ip.namespace, ip.ip)), budget, uuid))
      return `address ${ip.ip} is somebody else's`;
  }
  for (const asn of itemsOf(local).asns) {
    const holder = holderOf(tx, asnClaim(asn)) ?? allocation;
    if (holder !== allocation && holder !== budgetHolder(budget)) return `number ${asn} is somebody else's`;
  }
  return undefined;
}

/** One that is no longer known was revoked or restored away, which is nobody's fault. */
function budgetConflict(tx: Tx, id: string, partition: string): string | undefined {
  const budget = tx.get(kinds.budget, id);
  return budget && budget.partition !== partition ? `budget ${id} is not of partition ${partition}` : undefined;
}

function isOpen(row: IP | undefined, budget: string, machine: string): boolean {
  const labels = row?.meta?.labels?.labels ?? {};
  return row === undefined || labels[budgetLabel] === budget || labels[machineLabel] === machine;
}

/** @returns why it never will be adopted; undefined when it was, or had been before */
export function adoptIp(tx: Tx, { ip, budget, deleted }: LocalIp, partition: string): string | undefined {
  if (!ip) return "an address is wanted";
  const network = tx.get(kinds.network, ip.network);
  if (!network || (network.project !== undefined && network.project !== ip.project))
    return `network ${ip.network} is not for project ${ip.project}`;
  if (!tx.get(kinds.project, ip.project)) return `project ${ip.project} does not exist`;
  const id = ipId(network.namespace, ip.ip);
  const row = tx.get(kinds.ip, id);
  if (row?.uuid === ip.uuid && !deleted) return undefined;
  if (row !== undefined && row.uuid !== ip.uuid && row.meta?.labels?.labels[budgetLabel] !== budget)
    return `address ${ip.ip} is somebody else's`;
  if (row?.meta?.labels?.labels[machineLabel] !== undefined) return `address ${ip.ip} is in use by a machine`;
  const foreign = budgetConflict(tx, budget, partition);
  if (foreign !== undefined) return foreign;
  if (deleted) tx.delete(kinds.ip, id);
  else tx.put(kinds.ip, id, ip);
  leaveBudget(tx, budget, create(BudgetItemsSchema, { addresses: [ip.ip] }));
  return undefined;
}

function leaveBudget(tx: Tx, id: string, items: BudgetItems): void {
  const budget = tx.get(kinds.budget, id);
  if (!budget) return;
  const next = clone(BudgetSchema, budget);
  if (next.free) next.free = withoutItems(next.free, items);
  if (next.recalled) next.recalled = withoutItems(next.recalled, items);
  tx.put(kinds.budget, id, next);
}
