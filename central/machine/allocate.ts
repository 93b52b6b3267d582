// One allocation is one commit: machine, addresses and ASN together, under the revisions that were read.
// What is only looked at to choose comes from the state, without a condition; what is chosen is read through the transaction.
import { newAllocation } from "#domain/machine/allocation.ts";
import { withdrawStale } from "#domain/machine/bmc-order.ts";
import { type Resolved, roleOf } from "#domain/machine/create.ts";
import { nextEpoch } from "#domain/machine/epoch.ts";
import {
  bestMachine,
  type MachineView,
  placeMachine,
  type Score,
  shuffled,
  unavailability,
  unfitText,
  type Wanted,
} from "#domain/machine/placement.ts";
import { touched } from "#domain/meta.ts";
import type { Pool } from "#domain/size/reservation.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineServiceCreateRequest } from "#gen/metalstack/api/v2/machine_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Search } from "../network/search.ts";
import type { Spaces } from "../network/spaces.ts";
import type { Seat } from "../seat.ts";
import { reservedForOthers } from "../size-reservation/reserved.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { checkLinkUp } from "../sync/link-up.ts";
import { takeAsn } from "./asn.ts";
import { alikeKeys, type MachineIndexes, placeKey } from "./indexes.ts";
import { joinNetwork } from "./join-network.ts";
import { checkTold } from "./told.ts";
import { viewsOfRows } from "./views.ts";

export interface AllocationContext {
  readonly user: string;
  readonly nowMs: number;
  /** Made anew for every attempt that the caller makes, not for every retry of the commit. */
  readonly allocation: string;
  readonly newUuid: () => string;
  /** Where the search for a free ASN begins, and what breaks ties between machines. */
  readonly seed: number;
  readonly peek: Pick<State, "get" | "by" | "groups" | "history">;
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
  checkLinkUp(peek, desired.partition);
  const asn = takeAsn(tx, spaces, allocation, context.seed);
  const { addresses } = spaces;
  const joining = { project: request.project, machine: desired.uuid, asn, nowMs, newUuid, addresses, search };
  const next = copyOf(desired);
  next.epoch = nextEpoch(desired, observed);
  withdrawStale(next, nowMs);
  next.meta = touched(desired.meta, nowMs);
  next.allocation = newAllocation(request, {
    ...resolved,
    ...{ uuid: allocation, asn, user: context.user, nowMs },
    networks: resolved.networks.map(({ network, ips }) => joinNetwork(tx, network, ips, joining)),
    observed,
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
  const free = peek.groups(indexes.free, placeKey({ partition, size }));
  const fit = [...free.values()].reduce((sum, { size: machines }) => sum + machines, 0);
  const score = scoreOfRacks(context, wanted);
  const bestOf = (isWanted: (uuid: string) => boolean) =>
    bestMachine(free.keys(), (rack) => free.get(rack)?.keys() ?? [], {
      ...{ score, isWanted, isPreferred: isOfSeat(search.seat) },
      shuffle: (name) => shuffled(name, seed),
    });
  const all = () => viewsOfRows(peek, peek.by(indexes.byPartition, partition));
  const best = bestOf((uuid) => !search.isPicked(uuid)) ?? bestOf(() => true);
  if (best === undefined) throw noMachine(all(), wanted);
  const machine = held(tx, best);
  search.pick(best, picksIn(machine.observed?.rack ?? "", wanted));
  context.explain?.(() => choiceText(machine, { fit, all: all().length, score }, wanted));
  keepReserved(tx, { partition, size }, project, all, fit);
  return machine;
}

/** Those of a seat's own come first. */
const isOfSeat =
  ({ at, of }: Seat) =>
  (uuid: string): boolean =>
    of === 1 || shuffled(uuid, 0) % of === at;

/** How many machines of the project stand in a rack already, or are about to. */
function scoreOfRacks(
  { peek, indexes, search }: Pick<AllocationContext, "peek" | "indexes" | "search">,
  wanted: Wanted,
): (rack: string) => Score {
  const isYetToCome = (uuid: string) => peek.get(kinds.machineDesired, uuid)?.value.allocation === undefined;
  const [ofProject, ...labelled] = alikeKeys(wanted).map((key) => {
    const there = peek.groups(indexes.alike, key);
    return {
      there: (rack: string) => there.get(rack),
      coming: (rack: string) => search.picked(pickKey(key, rack), isYetToCome),
    };
  });
  const inRack = (rack: string) =>
    new Set(labelled.flatMap(({ there, coming }) => [...(there(rack)?.keys() ?? []), ...coming(rack)]));
  return (rack) => ({
    labelled: labelled.length === 0 ? 0 : inRack(rack).size,
    ofProject: (ofProject?.there(rack)?.size ?? 0) + (ofProject?.coming(rack).length ?? 0),
  });
}

/** What the pick of a machine counts for, as it will itself. */
const picksIn = (rack: string, wanted: Wanted): string[] => alikeKeys(wanted).map((key) => pickKey(key, rack));
const pickKey = (key: string, rack: string): string => `${key} ${rack}`;

/** Why this one of so many that fit, in words. */
function choiceText(
  { desired: { uuid }, observed }: MachineView,
  among: { readonly fit: number; readonly all: number; readonly score: (rack: string) => Score },
  { partition }: Wanted,
): string {
  const rack = observed?.rack ?? "";
  const { labelled, ofProject } = among.score(rack);
  const where = rack ? `rack ${rack}` : "its rack";
  return (
    `machine ${uuid} is one of ${among.fit} that can be had, of ${among.all} in partition ${partition}; none is better: ` +
    `the project has ${labelled} machines with such placement labels in ${where}, and ${ofProject} of the same size and role`
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
function keepReserved(tx: Tx, pool: Pool, project: string, all: () => readonly MachineView[], fit: number): void {
  const remaining = reservedForOthers(tx, pool, project, all);
  if (remaining === 0 || fit > remaining) return;
  const text = `${fit} machines of size ${pool.size} can be had in partition ${pool.partition}, and ${remaining} are reserved for other projects`;
  throw new Refusal("exhausted", text, { reason: "RESERVED" });
}

function namedMachine(tx: Tx, uuid: string): MachineView {
  const view = held(tx, uuid);
  const unfit = unavailability(view, "uuid");
  if (unfit)
    throw new Refusal("precondition", `machine ${uuid} is ${unfit}`, { field: "uuid", reason: "NOT_AVAILABLE" });
  return view;
}

/** Reads both sides by id, so that the commit fails when either changes. */
function held(tx: Tx, uuid: string): MachineView {
  const desired = tx.get(kinds.machineDesired, uuid);
  if (!desired) throw new Refusal("not-found", `machine ${uuid} does not exist`, { field: "uuid" });
  return { desired, observed: tx.get(kinds.machineObserved, uuid) };
}
