// Which machine a creation gets. What is only looked at to choose comes from the state, without a condition; what is chosen is read through
// the transaction.
import { roleOf } from "#domain/machine/create.ts";
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
import type { Pool, Reserved } from "#domain/size/reservation.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineServiceCreateRequest } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Search } from "../network/search.ts";
import { reservedForOthers } from "../size-reservation/reserved.ts";
import type { Groups, Stored } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { alikeKeys, type MachineIndexes, placeKey } from "./indexes.ts";
import { viewsOfRows } from "./views.ts";

export interface Choice {
  /** What breaks ties. */
  readonly seed: number;
  readonly peek: Pick<State, "get" | "by" | "groups" | "history">;
  readonly indexes: MachineIndexes;
  readonly search: Search;
  /** Hears how the machine was chosen. */
  readonly explain?: (why: () => string) => void;
}

export function chooseMachine(tx: Tx, request: MachineServiceCreateRequest, context: Choice): MachineView {
  if (request.uuid !== undefined) return namedMachine(tx, request.uuid, request.project, context);
  const { peek, indexes, search } = context;
  const { partition = "", size = "", project } = request;
  const wanted = {
    partition,
    size,
    project,
    role: roleOf(request),
    placementLabels: request.placementLabels?.labels ?? {},
  };
  const free = peek.groups(indexes.free, placeKey({ partition, size }));
  const fit = sizeOf(free);
  const keys = alikeKeys(wanted);
  const score = scoreOfRacks(context, keys);
  const orders = ordersOf(context, keys, free.size);
  const bestOf = (isWanted: (uuid: string) => boolean) =>
    bestMachine(free.keys(), (rack) => free.get(rack)?.values() ?? [], {
      ...orders,
      score,
      isWanted: ({ id }) => isWanted(id),
    });
  const all = () => viewsOfRows(peek, peek.by(indexes.byPartition, partition));
  const best = bestOf((uuid) => !search.isPicked(uuid)) ?? bestOf(() => true);
  if (best === undefined) throw noMachine(all(), wanted);
  const machine = held(tx, best.id);
  search.pick(
    best.id,
    keys.map((key) => pickKey(key, machine.observed?.rack ?? "")),
  );
  context.explain?.(() => choiceText(machine, { fit, all: all().length, score }, wanted));
  const reserved = reservedForOthers(tx, { partition, size }, project, all);
  if (reserved && fit <= reserved.remaining) {
    throw new Refusal("exhausted", keptText(`${fit} machines`, wanted, reserved), { reason: "RESERVED" });
  }
  return machine;
}

const sizeOf = (machines: Groups<typeof kinds.machineObserved>): number =>
  [...machines.values()].reduce((sum, { size }) => sum + size, 0);

/**
 * In which order racks are entered that are equally good, and machines taken within one. Centrals do not see what others are about to
 * take. Each begins in racks of its own. Within a rack all take the machines in one order, so that two which put one of the project into
 * the same rack want the same machine, and one of them chooses again by what the other has done. Where all are at more than two for each
 * rack, most races would be lost by that, and it is the last ones that decide how even all are: each takes of a rack what is its own.
 * @param keys of what the machine counts for in its rack
 */
function ordersOf({ seed, search }: Choice, keys: readonly string[], racks: number) {
  const [ofProject = ""] = keys;
  const { at, of } = search.seat;
  const own = shuffled(ofProject, 0);
  const isOwn = (name: string, salt: number) => of === 1 || shuffled(name, salt) % of === at;
  // As many as this one is at, each of the others is likely to be at.
  const meets = of > 1 && racks > 1 && search.crowd * of <= 2 * racks;
  type Free = Stored<MachineObserved>;
  return {
    orderOfRack: (rack: string) => shuffled(rack, seed) + (isOwn(rack, own) ? 0 : 2 ** 32),
    // Its epoch: or a project would get the same machine again when it gives one back.
    order: ({ id, value }: Free) => shuffled(id, meets ? own ^ Number(value.epoch) : seed),
    isPreferred: ({ id }: Free) => meets || isOwn(id, 0),
  };
}

/** How many machines of the project stand in a rack already, or are about to. */
function scoreOfRacks(
  { peek, indexes, search }: Pick<Choice, "peek" | "indexes" | "search">,
  keys: readonly string[],
): (rack: string) => Score {
  const isYetToCome = (uuid: string) => peek.get(kinds.machineDesired, uuid)?.value.allocation === undefined;
  const [ofProject, ...labelled] = keys.map((key) => {
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

/** When no more of what can be had is left than is kept for other projects. */
const keptText = (what: string, { partition, size }: Pool, { remaining }: Reserved): string =>
  `${what} of size ${size} can be had in partition ${partition}, and ${remaining} are reserved for other projects`;

/**
 * Whoever names a machine may take one that is tainted, which nothing is kept of.
 * @throws Refusal "exhausted" for one that is kept for other projects, among all that can be had
 */
function namedMachine(tx: Tx, uuid: string, project: string, { peek, indexes }: Choice): MachineView {
  const view = held(tx, uuid);
  const unfit = unavailability(view, "uuid");
  if (unfit)
    throw new Refusal("precondition", `machine ${uuid} is ${unfit}`, { field: "uuid", reason: "NOT_AVAILABLE" });
  if (unavailability(view, "choice") !== undefined) return view;
  const pool = { partition: view.desired.partition, size: view.observed?.size ?? "" };
  const all = () => viewsOfRows(peek, peek.by(indexes.byPartition, pool.partition));
  const fit = sizeOf(peek.groups(indexes.free, placeKey(pool)));
  const reserved = reservedForOthers(tx, pool, project, all);
  if (!reserved || fit > reserved.remaining) return view;
  const kept = keptText(`machine ${uuid} and ${fit - 1} others`, pool, reserved);
  const by = reserved.by.map((one) => `${one.id} of project ${one.project}`).join(", ");
  const text = `${kept}, by size reservation ${by}: change that, or taint the machine to take it all the same`;
  throw new Refusal("exhausted", text, { reason: "RESERVED", field: "uuid" });
}

/** Reads both sides by id, so that the commit fails when either changes. */
function held(tx: Tx, uuid: string): MachineView {
  const desired = tx.get(kinds.machineDesired, uuid);
  if (!desired) throw new Refusal("not-found", `machine ${uuid} does not exist`, { field: "uuid" });
  return { desired, observed: tx.get(kinds.machineObserved, uuid) };
}
