// Brings a budget one step nearer to what is wanted of it: delegates what is missing, recalls what is too many, and takes back what its
// agent does not use. Everything that is delegated is taken by the keys by which anybody takes it, so nobody else has it.
import { clone, create, equals } from "@bufbuild/protobuf";
import { budgetLabel, isEmpty, noItems, withItems, withoutItems } from "#domain/budget/items.ts";
import { ipId } from "#domain/ip/ip-id.ts";
import { ephemeralIp } from "#domain/machine/allocation.ts";
import { nextEpoch } from "#domain/machine/epoch.ts";
import { placeMachine, shuffled } from "#domain/machine/placement.ts";
import type { Family } from "#domain/network/prefix.ts";
import { type Budget, type BudgetItems, BudgetItemsSchema, BudgetSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import { DelegationSchema, MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineAllocationType, MachineLiveliness, MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { unclaim } from "../catalog/claim.ts";
import { familiesOf, nextAddress } from "../ip/address.ts";
import { asnClaim, takeAsn } from "../machine/asn.ts";
import { type MachineIndexes, placeKey } from "../machine/indexes.ts";
import { isTold } from "../machine/told.ts";
import { viewOf, viewsOfPartition } from "../machine/views.ts";
import { alone } from "../network/search.ts";
import type { Spaces } from "../network/spaces.ts";
import { reservedForOthers } from "../size-reservation/reserved.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";

/** Of each kind of thing, what one transaction delegates or takes back; a commit has room for 127 writes and their record. */
const atOnce = 16;
/** Epochs that an agent may use of one machine: it needs one to give it away, and one to take it back. */
const epochsDelegated = 16n;

export interface StepPorts {
  readonly state: State;
  readonly indexes: MachineIndexes;
  readonly spaces: Spaces;
  readonly newUuid: () => string;
  readonly seed: number;
  readonly nowMs: number;
}

/** Who holds an autonomous system number that is delegated. */
export const budgetHolder = (id: string): string => `budget/${id}`;

/** @returns whether another step has something to do */
export function stepBudget(tx: Tx, id: string, ports: StepPorts): boolean {
  const stored = tx.get(kinds.budget, id);
  if (!stored) return false;
  const budget = clone(BudgetSchema, stored);
  const { free = noItems(), recalled = noItems() } = budget;
  Object.assign(budget, { free, recalled });
  recallSurplus(budget, ports.state);
  takeBack(tx, budget, ports.state);
  if (budget.revoked && isEmpty(free) && isEmpty(budget.recalled ?? recalled)) {
    tx.delete(kinds.budget, id);
    tx.delete(kinds.budgetUse, id);
    return false;
  }
  if (!budget.revoked) delegateMore(tx, budget, ports);
  if (equals(BudgetSchema, stored, budget)) return false;
  tx.put(kinds.budget, id, budget);
  return true;
}

/** Why the agent that is there now must not use the budget; undefined when it may. */
export function doubt(state: Pick<State, "get">, { partition, outbox, free, recalled }: Budget): string | undefined {
  const now = state.get(kinds.reportCursor, partition)?.value.outbox;
  const isHeld = [free, recalled].some((items) => items && !isEmpty(items));
  if (!isHeld || outbox === now || outbox === "") return undefined;
  return "its agent has lost its disk, or works from a copy of it: what it gave away before is not known; revoke by force isolates and wipes the machines";
}

function recallSurplus(budget: Budget, state: State): void {
  const { free, revoked } = budget;
  if (!free) return;
  const [machines, addresses] = revoked ? [0, 0] : [budget.machinesWanted, budget.addressesWanted];
  const useless = free.machines.filter((uuid) => isUseless(state, uuid));
  const good = free.machines.filter((uuid) => !useless.includes(uuid));
  const surplus = create(BudgetItemsSchema, {
    machines: [...useless, ...good.slice(machines)],
    addresses: ([4, 6] as const).flatMap((family) => free.addresses.filter(isOf(family)).slice(addresses)),
    asns: free.asns.slice(machines),
  });
  if (isEmpty(surplus)) return;
  budget.free = withoutItems(free, surplus);
  budget.recalled = withItems(budget.recalled ?? noItems(), surplus);
  budget.generation++;
}

/** One that nobody could be given. */
function isUseless(state: State, uuid: string): boolean {
  const view = viewOf(state, uuid);
  return (
    view?.observed?.liveliness === MachineLiveliness.DEAD || view?.desired.condition?.state === MachineState.LOCKED
  );
}

const isOf = (family: Family) => (ip: string) => ip.includes(":") === (family === 6);

/** What is recalled, and not used by the agent's own word, or proven to be out of use. */
function takeBack(tx: Tx, budget: Budget, state: State): void {
  const { recalled } = budget;
  if (!recalled || isEmpty(recalled)) return;
  const unused = budget.outbox === "" ? provenUnused(recalled, state) : saidUnused(tx, budget);
  const back = create(BudgetItemsSchema, {
    machines: unused.machines.slice(0, atOnce),
    addresses: unused.addresses.slice(0, atOnce),
    asns: unused.asns.slice(0, atOnce),
  });
  for (const uuid of back.machines) {
    const desired = tx.get(kinds.machineDesired, uuid);
    if (desired?.delegated?.budget !== budget.id) continue;
    const next = clone(MachineDesiredSchema, desired);
    next.epoch = nextEpoch(desired, undefined);
    delete next.delegated;
    tx.put(kinds.machineDesired, uuid, next);
  }
  const network = state.get(kinds.network, budget.network)?.value;
  for (const ip of back.addresses) {
    const id = ipId(network?.namespace, ip);
    if (tx.get(kinds.ip, id)?.meta?.labels?.labels[budgetLabel] === budget.id) tx.delete(kinds.ip, id);
  }
  for (const asn of back.asns)
    if (tx.get(kinds.claim, asnClaim(asn))?.value === budgetHolder(budget.id)) unclaim(tx, asnClaim(asn));
  budget.recalled = withoutItems(recalled, back);
}

function saidUnused(tx: Tx, { id, generation, recalled }: Budget): BudgetItems {
  const use = tx.get(kinds.budgetUse, id);
  if (!recalled || use?.generation !== generation) return noItems();
  return withoutItems(recalled, use.used ?? noItems());
}

/** All of it once each machine was isolated under the epoch that ended whatever its agent had made of it. */
function provenUnused(recalled: BudgetItems, state: State): BudgetItems {
  const isOut = (uuid: string) => {
    const view = viewOf(state, uuid);
    return !view || (view.observed?.isolatedEpoch ?? 0n) >= view.desired.epoch;
  };
  return recalled.machines.every(isOut) ? recalled : noItems();
}

function delegateMore(tx: Tx, budget: Budget, ports: StepPorts): void {
  const { state } = ports;
  const outbox = state.get(kinds.reportCursor, budget.partition)?.value.outbox ?? "";
  if (outbox === "" || !isTold(state, budget.partition) || doubt(state, budget) !== undefined) return;
  budget.outbox = outbox;
  const more = create(BudgetItemsSchema, {
    machines: delegateMachines(tx, budget, ports),
    addresses: delegateAddresses(tx, budget, ports),
    asns: delegateAsns(tx, budget, ports),
  });
  budget.free = withItems(budget.free ?? noItems(), more);
}

function delegateMachines(tx: Tx, budget: Budget, { state, indexes, seed }: StepPorts): string[] {
  const { partition, project, size, outbox, free, machinesWanted } = budget;
  const missing = machinesWanted - (free?.machines.length ?? 0);
  if (missing <= 0) return [];
  const pool = { partition, size };
  const racks = [...state.groups(indexes.free, placeKey(pool)).values()];
  const there = racks.flatMap((machines) => [...machines.keys()].flatMap((id) => viewOf(state, id) ?? []));
  const wanted = { ...pool, project, role: MachineAllocationType.MACHINE, placementLabels: {} };
  const all = viewsOfPartition(state, partition);
  const placement = placeMachine(there, wanted, (uuid) => shuffled(uuid, seed), all);
  if (placement.kind === "none") return [];
  const room = placement.machines.length - reservedForOthers(tx, pool, project, () => all);
  return placement.machines.slice(0, Math.max(0, Math.min(missing, room, atOnce))).flatMap(({ desired: seen }) => {
    const desired = tx.get(kinds.machineDesired, seen.uuid);
    if (!desired || desired.allocation || desired.delegated || desired.release) return [];
    const next = clone(MachineDesiredSchema, desired);
    const epochLast = nextEpoch(desired, state.get(kinds.machineObserved, seen.uuid)?.value) + epochsDelegated;
    next.delegated = create(DelegationSchema, { budget: budget.id, outbox, project, epochLast });
    tx.put(kinds.machineDesired, seen.uuid, next);
    return [seen.uuid];
  });
}

function delegateAddresses(tx: Tx, budget: Budget, ports: StepPorts): string[] {
  const network = tx.get(kinds.network, budget.network);
  if (!network) return [];
  return familiesOf(network).flatMap((family) => {
    const have = (budget.free?.addresses ?? []).filter(isOf(family)).length;
    const missing = Math.min(atOnce, budget.addressesWanted - have);
    const got: string[] = [];
    for (let i = 0; i < missing; i++) {
      const ip = orNone(() => nextAddress(tx, network, { family, addresses: ports.spaces.addresses, search: alone }));
      if (ip === undefined) break;
      putDelegated(tx, network, ip, budget, ports);
      got.push(ip);
    }
    return got;
  });
}

function putDelegated(tx: Tx, network: Network, ip: string, budget: Budget, { newUuid, nowMs }: StepPorts): void {
  const { id, project } = budget;
  const row = ephemeralIp(network, { uuid: newUuid(), ip, project, labels: { [budgetLabel]: id }, nowMs });
  tx.put(kinds.ip, ipId(network.namespace, ip), row);
}

function delegateAsns(tx: Tx, { id, free, machinesWanted }: Budget, { spaces, seed }: StepPorts): number[] {
  const missing = Math.min(atOnce, machinesWanted - (free?.asns.length ?? 0));
  const got: number[] = [];
  for (let i = 0; i < missing; i++) {
    const asn = orNone(() => takeAsn(tx, spaces, budgetHolder(id), seed));
    if (asn === undefined) break;
    got.push(asn);
  }
  return got;
}

/** What is used up comes back some day. */
function orNone<T>(take: () => T): T | undefined {
  try {
    return take();
  } catch (error) {
    if (error instanceof Refusal && error.code === "exhausted") return undefined;
    throw error;
  }
}
