import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { type MachineAllocationType, MachineLiveliness, MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";

/** One machine with both of its sides, as placement and the API see it. */
export interface MachineView {
  readonly desired: MachineDesired;
  readonly observed: MachineObserved | undefined;
}

export interface Wanted {
  readonly partition: string;
  readonly size: string;
  readonly project: string;
  readonly role: MachineAllocationType;
  readonly placementLabels: Readonly<Record<string, string>>;
}

/** Why a machine is not a candidate; counted, so that a refusal can say how many fell for which reason. */
export type Unfit =
  | "other partition"
  | "other size"
  | "allocated"
  | "delegated"
  | "not available"
  | "not isolated"
  | "not waiting"
  | "not alive"
  | "not wiped";

export type Placement =
  | { readonly kind: "candidates"; readonly machines: readonly MachineView[] }
  | { readonly kind: "none"; readonly reasons: ReadonlyMap<Unfit, number> };

/**
 * Machines that can take the allocation, best first: fewest machines of the project with the same placement labels in the
 * rack, then fewest of the project with the same role and size, then by `shuffle` (a seeded number) of the rack, then of the uuid.
 * @param machines to choose from
 * @param neighbors among which all of the project's machines are; the same ones unless given
 */
export function placeMachine(
  machines: readonly MachineView[],
  wanted: Wanted,
  shuffle: (uuid: string) => number,
  neighbors: readonly MachineView[] = machines,
): Placement {
  const reasons = new Map<Unfit, number>();
  const fit = machines.filter((m) => {
    const unfit = unfitFor(m, wanted);
    if (unfit) reasons.set(unfit, (reasons.get(unfit) ?? 0) + 1);
    return unfit === undefined;
  });
  if (fit.length === 0) return { kind: "none", reasons };
  const score = rackScore(neighbors, wanted);
  const ranked = fit.map((machine) => {
    const rack = machine.observed?.rack ?? "";
    return { machine, score: score(rack), rackTie: shuffle(rack), tie: shuffle(machine.desired.uuid) };
  });
  ranked.sort((a, b) => byScore(a.score, b.score) || a.rackTie - b.rackTie || a.tie - b.tie);
  return { kind: "candidates", machines: ranked.map(({ machine }) => machine) };
}

export interface Preferences<M> {
  readonly score: (rack: string) => Score;
  /** What decides between racks of the same score: the lowest. */
  readonly orderOfRack: (rack: string) => number;
  /** What decides between machines of a rack. */
  readonly order: (machine: M) => number;
  readonly isWanted: (machine: M) => boolean;
  /** These come before all others in racks of the same score. */
  readonly isPreferred: (machine: M) => boolean;
}

/**
 * The first of those that `placeMachine` gives, for who wants only that one: most racks are never entered.
 * @param racks that have machines which can take the allocation
 */
export function bestMachine<M>(
  racks: Iterable<string>,
  machinesIn: (rack: string) => Iterable<M>,
  { score, orderOfRack, order, isWanted, isPreferred }: Preferences<M>,
): M | undefined {
  const ranked = Array.from(racks, (rack) => ({ rack, score: score(rack), tie: orderOfRack(rack) }));
  ranked.sort((a, b) => byScore(a.score, b.score) || a.tie - b.tie);
  let other: { readonly machine: M; readonly score: Score } | undefined;
  for (const { rack, score } of ranked) {
    if (other && byScore(other.score, score) < 0) break;
    const preferred = lowest(machinesIn(rack), order, (machine) => isPreferred(machine) && isWanted(machine));
    if (preferred !== undefined) return preferred;
    const machine = other ? undefined : lowest(machinesIn(rack), order, isWanted);
    if (machine !== undefined) other = { machine, score };
  }
  return other?.machine;
}

/** Of those that it holds for, which is asked of few. */
function lowest<M>(
  machines: Iterable<M>,
  order: (machine: M) => number,
  holds: (machine: M) => boolean,
): M | undefined {
  let found: M | undefined;
  let least = Infinity;
  for (const machine of machines) {
    const place = order(machine);
    if (place >= least || !holds(machine)) continue;
    found = machine;
    least = place;
  }
  return found;
}

/** A number below 2^32 that depends on both and on nothing else: what decides between machines that are alike. */
export function shuffled(uuid: string, seed: number): number {
  // FNV-1a, whose last letters hardly reach its upper bits, and MurmurHash3's finalizer, which spreads them.
  let hash = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < uuid.length; i++) hash = Math.imul(hash ^ uuid.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

const byScore = (a: Score, b: Score): number => a.labelled - b.labelled || a.ofProject - b.ofProject;

/** Why this one machine cannot be allocated, whatever its size and partition. */
export function unavailability({ desired, observed }: MachineView, by: "choice" | "uuid"): Unfit | undefined {
  if (desired.allocation) return "allocated";
  if (desired.delegated) return "delegated";
  const state = desired.condition?.state ?? MachineState.AVAILABLE;
  if (state === MachineState.LOCKED || (state === MachineState.TAINTED && by === "choice")) return "not available";
  if (desired.release) return "not isolated";
  if (!observed?.waiting || observed.epoch !== desired.epoch) return "not waiting";
  if (observed.liveliness !== MachineLiveliness.ALIVE) return "not alive";
  return isWiped(observed) ? undefined : "not wiped";
}

/** Wiped, and nothing installed or begun since. */
const isWiped = ({ wipedEpoch, installedEpoch, workedEpoch }: MachineObserved): boolean =>
  wipedEpoch > installedEpoch && workedEpoch === 0n;

function unfitFor(machine: MachineView, wanted: Wanted): Unfit | undefined {
  if (machine.desired.partition !== wanted.partition) return "other partition";
  if (machine.observed?.size !== wanted.size) return "other size";
  return unavailability(machine, "choice");
}

/** Of a rack, how many of the project's machines are there: with one of the labels, and of the same role and size. */
export interface Score {
  readonly labelled: number;
  readonly ofProject: number;
}

const nobody: Score = { labelled: 0, ofProject: 0 };

export function rackScore(machines: Iterable<MachineView>, wanted: Wanted): (rack: string) => Score {
  const racks = new Map<string, Score>();
  for (const { desired, observed } of machines) {
    const { allocation } = desired;
    if (allocation?.project !== wanted.project || desired.partition !== wanted.partition) continue;
    const { labelled, ofProject } = racks.get(observed?.rack ?? "") ?? nobody;
    const shares = sharesLabels(allocation.placementLabels?.labels ?? {}, wanted.placementLabels);
    const isAlike = allocation.allocationType === wanted.role && observed?.size === wanted.size;
    racks.set(observed?.rack ?? "", {
      labelled: labelled + (shares ? 1 : 0),
      ofProject: ofProject + (isAlike ? 1 : 0),
    });
  }
  return (rack) => racks.get(rack) ?? nobody;
}

const sharesLabels = (theirs: Readonly<Record<string, string>>, ours: Readonly<Record<string, string>>): boolean =>
  Object.entries(ours).some(([key, value]) => theirs[key] === value);

/** "3 not waiting, 1 allocated". */
export const unfitText = (reasons: ReadonlyMap<Unfit, number>): string =>
  [...reasons].map(([reason, count]) => `${count} ${reason}`).join(", ") || "there are none";
