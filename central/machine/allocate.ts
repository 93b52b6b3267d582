// One allocation is one commit: machine, addresses and ASN together, under the revisions that were read.
// What is only looked at to choose comes from the state, without a condition; what is chosen is read through the transaction.
import { clone } from "@bufbuild/protobuf";
import { newAllocation } from "#domain/machine/allocation.ts";
import { withdrawStale } from "#domain/machine/bmc-order.ts";
import { type Resolved, roleOf } from "#domain/machine/create.ts";
import { nextEpoch } from "#domain/machine/epoch.ts";
import {
  candidates,
  type MachineView,
  placeMachine,
  rackScore,
  shuffled,
  unavailability,
  unfitText,
  type Wanted,
} from "#domain/machine/placement.ts";
import { touched } from "#domain/meta.ts";
import type { Pool } from "#domain/size/reservation.ts";
import { type MachineDesired, MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineServiceCreateRequest } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Search } from "../network/search.ts";
import type { Spaces } from "../network/spaces.ts";
import { reservedForOthers } from "../size-reservation/reserved.ts";
import type { Stored } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { takeAsn } from "./asn.ts";
import { type MachineIndexes, placeKey } from "./indexes.ts";
import { joinNetwork } from "./join-network.ts";
import { checkTold } from "./told.ts";

export interface AllocationContext {
  readonly user: string;
  readonly nowMs: number;
  /** Made anew for every attempt that the caller makes, not for every retry of the commit. */
  readonly allocation: string;
  readonly newUuid: () => string;
  /** Where the search for a free ASN begins, and what breaks ties between machines. */
  readonly seed: number;
  readonly peek: Pick<State, "get" | "by" | "history">;
  readonly indexes: MachineIndexes;
  readonly spaces: Spaces;
  readonly search: Search;
  /** Hears how the machine was chosen. */
  readonly explain?: (why: () => string) => void;
}

export function allocate(
  tx: Tx,
  request: MachineServiceCreateRequest,
  resolved: Resolved,
  context: AllocationContext,
): MachineDesired {
  const { nowMs, newUuid, allocation, peek, spaces, search } = context;
  const machine = chooseMachine(tx, request, context);
  const { desired, observed } = machine;
  checkTold(peek, desired.partition);
  const asn = takeAsn(tx, spaces, allocation, context.seed);
  const { addresses } = spaces;
  const joining = { project: request.project, machine: desired.uuid, asn, nowMs, newUuid, addresses, search };
  const next = clone(MachineDesiredSchema, desired);
  next.epoch = nextEpoch(desired, observed);
  withdrawStale(next, nowMs);
  next.meta = touched(desired.meta, nowMs);
  next.allocation = newAllocation(request, {
    ...resolved,
    ...{ uuid: allocation, asn, user: context.user, nowMs },
    networks: resolved.networks.map(({ network, ips }) => joinNetwork(tx, network, ips, joining)),
    rack: observed?.rack ?? "",
  });
  tx.put(kinds.machineDesired, desired.uuid, next);
  return next;
}

function chooseMachine(tx: Tx, request: MachineServiceCreateRequest, context: AllocationContext): MachineView {
  if (request.uuid !== undefined) return namedMachine(tx, request.uuid);
  const { peek, indexes, seed, search } = context;
  const { partition = "", size = "", project } = request;
  const wanted = {
    partition,
    size,
    project,
    role: roleOf(request),
    placementLabels: request.placementLabels?.labels ?? {},
  };
  const views = (rows: readonly Stored<MachineDesired>[]): MachineView[] =>
    rows.map(({ id, value }) => ({ desired: value, observed: peek.get(kinds.machineObserved, id)?.value }));
  const waiting = peek.by(indexes.waiting, placeKey({ partition, size })).map(({ value }) => value);
  const fitting = () =>
    candidates(waiting, wanted, {
      viewOf: (observed) => {
        const desired = peek.get(kinds.machineDesired, observed.uuid)?.value;
        return desired && { desired, observed };
      },
      shuffle: (uuid) => shuffled(uuid, seed),
      neighbors: views(peek.by(indexes.byProject, project)),
    });
  const all = () => views(peek.by(indexes.byPartition, partition));
  const best = firstOf(fitting(), (m) => !search.isPicked(m.desired.uuid)) ?? firstOf(fitting(), () => true);
  if (best === undefined) throw noMachine(all(), wanted);
  search.pick(best.desired.uuid);
  const fit = () => [...fitting()].length;
  context.explain?.(() =>
    choiceText(best, fit(), all(), { wanted, neighbors: views(peek.by(indexes.byProject, project)) }),
  );
  keepReserved(tx, { partition, size }, project, all, fit);
  return held(tx, best.desired);
}

/** Why this one of so many that fit, in words. @param machines all of the partition */
function choiceText(
  { desired, observed }: MachineView,
  fit: number,
  machines: readonly MachineView[],
  { wanted, neighbors }: { readonly wanted: Wanted; readonly neighbors: readonly MachineView[] },
): string {
  const { labelled, ofProject } = rackScore(neighbors, wanted)(observed?.rack ?? "");
  const rack = observed?.rack ? `rack ${observed.rack}` : "its rack";
  return (
    `machine ${desired.uuid} is one of ${fit} that can be had, of ${machines.length} in partition ${wanted.partition}; none is better: ` +
    `the project has ${labelled} machines with such placement labels in ${rack}, and ${ofProject} of the same size and role`
  );
}

/** Says for which reasons how many fell, of all that there are. */
function noMachine(machines: readonly MachineView[], wanted: Wanted): Refusal {
  const placement = placeMachine(machines, wanted, () => 0);
  const why = placement.kind === "none" ? unfitText(placement.reasons) : "there was none until now";
  const text = `no machine of size ${wanted.size} can be had in partition ${wanted.partition}: of ${machines.length} machines ${why}`;
  return new Refusal("exhausted", text, { reason: "NO_MACHINE" });
}

/** @throws Refusal "exhausted" when all that is left is kept for other projects */
function keepReserved(
  tx: Tx,
  pool: Pool,
  project: string,
  all: () => readonly MachineView[],
  fitting: () => number,
): void {
  const remaining = reservedForOthers(tx, pool, project, all);
  if (remaining === 0) return;
  const fit = fitting();
  if (fit > remaining) return;
  const text = `${fit} machines of size ${pool.size} can be had in partition ${pool.partition}, and ${remaining} are reserved for other projects`;
  throw new Refusal("exhausted", text, { reason: "RESERVED" });
}

function namedMachine(tx: Tx, uuid: string): MachineView {
  const desired = tx.get(kinds.machineDesired, uuid);
  if (!desired) throw new Refusal("not-found", `machine ${uuid} does not exist`, { field: "uuid" });
  const view = held(tx, desired);
  const unfit = unavailability(view, "uuid");
  if (unfit)
    throw new Refusal("precondition", `machine ${uuid} is ${unfit}`, { field: "uuid", reason: "NOT_AVAILABLE" });
  return view;
}

/** Reads both sides by id, so that the commit fails when either changes. */
function held(tx: Tx, seen: MachineDesired): MachineView {
  const desired = tx.get(kinds.machineDesired, seen.uuid) ?? seen;
  return { desired, observed: tx.get(kinds.machineObserved, seen.uuid) };
}

function firstOf<T>(all: Iterable<T>, isWanted: (one: T) => boolean): T | undefined {
  for (const one of all) if (isWanted(one)) return one;
  return undefined;
}
