// Who creates a machine may ask that no other one of the project has its name: then the allocation claims the name for as long as it lasts.
// Lists are not conditioned, so this takes two commits. Whoever has created a machine of that name before the first is seen by the
// second; whoever does so between the two changes the claim, and the second loses the race. A claim counts as long as its allocation
// lives: one that a crash between the two has left is anybody's to take.
import { PlanService } from "#gen/holdfast/api/v1/plan_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { uniqueNameHeader, uniqueNameNotTaken } from "#lib/rpc/unique-name.ts";
import { claim, holderOf, unclaim } from "../catalog/claim.ts";
import type { Around } from "../services.ts";
import type { Tx } from "../store/tx.ts";
import type { MachineIndexes } from "./indexes.ts";

export interface Naming {
  readonly project: string;
  readonly name: string;
  /** What is to have the name. */
  readonly allocation: string;
  /** Whether nothing else of the project may have it. */
  readonly isUnique: boolean;
}

type Indexes = Pick<MachineIndexes, "byProject">;

/** The first commit. @throws Refusal "exists" */
export function announceName(tx: Tx, indexes: Indexes, naming: Naming): void {
  const [other] = namesakes(tx, indexes, naming);
  if (other) throw taken(naming, other.id);
  claim(tx, nameClaim(naming), naming.allocation);
}

/**
 * Belongs to the commit that creates the machine, whether or not its name is to be unique.
 * @throws Refusal "exists" when another machine of the project has the name, and it or this one alone may
 */
export function takeName(tx: Tx, indexes: Indexes, naming: Naming): void {
  const what = nameClaim(naming);
  const holder = holderOf(tx, what);
  if (!naming.isUnique && holder === undefined) return;
  const others = namesakes(tx, indexes, naming);
  const other = naming.isUnique ? others[0] : others.find(({ value }) => value.allocation?.uuid === holder);
  if (other) throw taken(naming, other.id);
  if (naming.isUnique && holder === undefined) throw overtaken(naming);
  if (naming.isUnique) claim(tx, what, naming.allocation);
  else unclaim(tx, what);
}

/** After a creation that has failed, unless it was stored all the same. */
export function withdrawName(tx: Tx, indexes: Indexes, naming: Naming): void {
  const isStored = namesakes(tx, indexes, naming).some(({ value }) => value.allocation?.uuid === naming.allocation);
  if (!isStored) giveBackName(tx, naming);
}

/** When it is this allocation's own. */
export function giveBackName(tx: Tx, naming: Omit<Naming, "isUnique">): void {
  if (holderOf(tx, nameClaim(naming)) === naming.allocation) unclaim(tx, nameClaim(naming));
}

/** Around every handler. */
export const uniqueNames: Around = (method, handler) => {
  if (method === MachineService.method.create || method === PlanService.method.plan) return handler;
  return (request, context) => {
    if (context.requestHeader.has(uniqueNameHeader)) throw uniqueNameNotTaken(method);
    return handler(request, context);
  };
};

export const nameClaim = ({ project, name }: Pick<Naming, "project" | "name">): string =>
  `machine-name/${project}/${name}`;

const namesakes = (tx: Tx, { byProject }: Indexes, { project, name }: Naming) =>
  tx.by(byProject, project).filter(({ value }) => value.allocation?.name === name);

function taken({ project, name, isUnique }: Naming, machine: string): Refusal {
  const text = isUnique
    ? `project ${project} has a machine named ${name}, ${machine}: take another name, or leave ${uniqueNameHeader} out`
    : `machine ${machine} of project ${project} alone may be named ${name}, as its creation has asked: take another name`;
  return new Refusal("exists", text, { field: "name", reason: "NAME_TAKEN" });
}

const overtaken = ({ project, name }: Naming): Refusal =>
  new Refusal("conflict", `another machine of project ${project} was to be named ${name} meanwhile: try again`, {
    reason: "CONFLICT",
  });
