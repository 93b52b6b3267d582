// What a partition gave away by itself becomes an ordinary allocation, or an ordinary release, in one commit. Its items leave the budget.
import type { Message } from "@bufbuild/protobuf";
import { isAdopted } from "#domain/budget/effective.ts";
import { addressItems, budgetLabel, budgetOf, machineItems, withoutItems } from "#domain/budget/items.ts";
import { ipId } from "#domain/ip/ip-id.ts";
import { machineLabel } from "#domain/ip/machine-label.ts";
import { withdrawStale } from "#domain/machine/bmc-order.ts";
import { epochMax } from "#domain/machine/epoch.ts";
import { firstDesired } from "#domain/machine/first-desired.ts";
import { touched } from "#domain/meta.ts";
import { isUsable } from "#domain/network/pool.ts";
import { knownPrefixes } from "#domain/network/rules.ts";
import type { Budget, BudgetItems, LocalIp, LocalMachine } from "#gen/holdfast/state/v1/budget_pb.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Meta } from "#gen/metalstack/api/v2/common_pb.ts";
import type { IP } from "#gen/metalstack/api/v2/ip_pb.ts";
import { copyOf } from "#lib/message.ts";
import { addressText, parseAddress, prefixText } from "#lib/net/prefix.ts";
import { claim, holderOf } from "../catalog/claim.ts";
import { asnClaim } from "../machine/asn.ts";
import { openPrefixes } from "../network/kept-prefixes.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { budgetHolder } from "./delegated.ts";

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
  if (isAdopted(known, local)) return {};
  const id = allocation?.uuid ?? release?.allocation ?? "";
  if (before.allocation && before.allocation.uuid !== id)
    return { rejected: `machine ${uuid} is allocated to project ${before.allocation.project}` };
  if (epoch > (before.delegated?.epochLast ?? epochMax))
    return { rejected: `machine ${uuid}: epoch ${epoch} is beyond what was delegated` };
  const conflict = conflictOf(tx, local, id, partition);
  if (conflict !== undefined) return { rejected: `machine ${uuid}: ${conflict}` };
  leaveBudget(tx, local.budget, () => machineItems(local));
  for (const ip of local.ips) takeOver(tx, ip);
  for (const asn of machineItems(local).asns) claim(tx, asnClaim(asn), id);
  const next = copyOf(before);
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
    const misplaced = misplacedText(tx, ip, project);
    if (misplaced !== undefined) return misplaced;
    if (!isOpen(tx, ip, { machine: uuid, project, partition })) return `address ${ip.ip} is somebody else's`;
  }
  for (const asn of machineItems(local).asns) {
    const holder = holderOf(tx, asnClaim(asn)) ?? allocation;
    if (holder !== allocation && holder !== budgetHolder(budget)) return `number ${asn} is somebody else's`;
  }
  return undefined;
}

/**
 * What is not of its network, in the form that addresses are stored in. As long as the store knows of it, it is: a network keeps the
 * prefixes that something is taken of. After a restore it may be another one.
 */
function misplacedText(tx: Tx, { ip, network: id, namespace }: IP, project: string): string | undefined {
  const network = tx.get(kinds.network, id);
  if (!network || (network.project !== undefined && network.project !== project))
    return `network ${id} is not for project ${project}`;
  if (network.namespace !== namespace)
    return `address ${ip} is in namespace ${namespace || "(none)"}, and network ${id} in ${network.namespace || "(none)"}`;
  const address = parseAddress(ip);
  if (!address.ok || addressText(address.value) !== ip) return `address ${ip} is not written as addresses are stored`;
  const isTaken = tx.get(kinds.ip, ipId(namespace, ip)) !== undefined;
  const prefixes = isTaken ? knownPrefixes(network.prefixes) : openPrefixes(tx, network);
  if (prefixes.some((prefix) => isUsable(prefix, address.value))) return undefined;
  return `address ${ip} is in none of the prefixes ${prefixes.map(prefixText).join(", ")} of network ${id}`;
}

/** One that is no longer known was revoked or restored away, which is nobody's fault. */
export function budgetConflict(tx: Tx, id: string, partition: string): string | undefined {
  const budget = tx.get(kinds.budget, id);
  return budget && budget.partition !== partition ? `budget ${id} is not of partition ${partition}` : undefined;
}

interface Taker {
  readonly machine: string;
  readonly project: string;
  readonly partition: string;
}

/** Free, its own, or of a budget for its project: not only of the machine's. */
function isOpen(tx: Tx, { ip, namespace }: IP, { machine, project, partition }: Taker): boolean {
  const row = tx.get(kinds.ip, ipId(namespace, ip));
  if (row === undefined || row.meta?.labels?.labels[machineLabel] === machine) return true;
  const budget = tx.get(kinds.budget, budgetOf(row) ?? "");
  return budget?.partition === partition && budget.project === project;
}

/** As the partition has it; it leaves the budget that it was of. */
function takeOver(tx: Tx, ip: IP): void {
  const id = ipId(ip.namespace, ip.ip);
  leaveBudget(tx, budgetOf(tx.get(kinds.ip, id)), (budget) => addressItems([ip], budget));
  tx.put(kinds.ip, id, ip);
}

/** @returns why it never will be adopted; undefined when it was, or had been before */
export function adoptIp(tx: Tx, { ip, budget, deleted }: LocalIp, partition: string): string | undefined {
  if (!ip) return "an address is wanted";
  if (!tx.get(kinds.project, ip.project)) return `project ${ip.project} does not exist`;
  const misplaced = misplacedText(tx, ip, ip.project);
  if (misplaced !== undefined) return misplaced;
  const id = ipId(ip.namespace, ip.ip);
  const row = tx.get(kinds.ip, id);
  if (row?.uuid === ip.uuid && !deleted) return undefined;
  if (row !== undefined && row.uuid !== ip.uuid && budgetOf(row) !== budget)
    return `address ${ip.ip} is somebody else's`;
  if (row?.meta?.labels?.labels[machineLabel] !== undefined) return `address ${ip.ip} is in use by a machine`;
  const foreign = budgetConflict(tx, budget, partition);
  if (foreign !== undefined) return foreign;
  takeOver(tx, withoutOurLabels(ip));
  if (deleted) tx.delete(kinds.ip, id);
  return undefined;
}

/** Without what only central says of a thing, whatever its partition says. */
export function withoutOurLabels<T extends Message & { meta?: Meta | undefined }>(thing: T): T {
  const next = copyOf(thing);
  for (const name of [budgetLabel, machineLabel]) delete next.meta?.labels?.labels[name];
  return next;
}

export function leaveBudget(tx: Tx, id: string | undefined, itemsOf: (budget: Budget) => BudgetItems): void {
  const budget = id === undefined ? undefined : tx.get(kinds.budget, id);
  if (!budget) return;
  const next = copyOf(budget);
  const items = itemsOf(budget);
  if (next.free) next.free = withoutItems(next.free, items);
  if (next.recalled) next.recalled = withoutItems(next.recalled, items);
  tx.put(kinds.budget, budget.id, next);
}
