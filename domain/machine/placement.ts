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
 * rack, then fewest of the project with the same role and size, then by `shuffle` (a seeded number per uuid).
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
  const ranked = fit
    .map((machine) => ({ machine, score: score(machine), tie: shuffle(machine.desired.uuid) }))
    .sort((a, b) => a.score[0] - b.score[0] || a.score[1] - b.score[1] || a.tie - b.tie);
  return { kind: "candidates", machines: ranked.map((r) => r.machine) };
}

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

function rackScore(machines: readonly MachineView[], wanted: Wanted): (m: MachineView) => readonly [number, number] {
  const labelled = new Map<string, number>();
  const ofProject = new Map<string, number>();
  for (const { desired, observed } of machines) {
    const { allocation } = desired;
    if (allocation?.project !== wanted.project || desired.partition !== wanted.partition) continue;
    const rack = observed?.rack ?? "";
    if (sharesLabels(allocation.placementLabels?.labels ?? {}, wanted.placementLabels)) {
      labelled.set(rack, (labelled.get(rack) ?? 0) + 1);
    }
    if (allocation.allocationType === wanted.role && observed?.size === wanted.size) {
      ofProject.set(rack, (ofProject.get(rack) ?? 0) + 1);
    }
  }
  return ({ observed }) => [labelled.get(observed?.rack ?? "") ?? 0, ofProject.get(observed?.rack ?? "") ?? 0];
}

const sharesLabels = (theirs: Readonly<Record<string, string>>, ours: Readonly<Record<string, string>>): boolean =>
  Object.entries(ours).some(([key, value]) => theirs[key] === value);

/** "3 not waiting, 1 allocated". */
export const unfitText = (reasons: ReadonlyMap<Unfit, number>): string =>
  [...reasons].map(([reason, count]) => `${count} ${reason}`).join(", ") || "there are none";
