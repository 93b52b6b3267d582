// Who creates a machine may ask that no other one of the project has its name: then the allocation claims the name for as long as it lasts.
// It is announced before: whoever has created a machine of that name until then is seen; whoever does so afterwards changes the claim, and
// the creation loses the race. A claim counts as long as its allocation lives.
import { PlanService } from "#gen/holdfast/api/v1/plan_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { uniqueNameHeader, uniqueNameNotTaken } from "#lib/rpc/unique-name.ts";
import type { Announcement } from "../catalog/announce.ts";
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

/** Before the allocation in the value of a claim, until that is there. */
export const yetToCome = "for ";

/** The first commit: of nothing that lives, so whoever wants the name may take it. @throws Refusal "exists" */
export const nameAnnouncement = (indexes: Indexes, naming: Naming): Announcement => ({
  what: nameClaim(naming),
  text: `${yetToCome}${naming.allocation}`,
  check(tx) {
    const [other] = namesakes(tx, indexes, naming);
    if (other) throw taken(naming, other.id);
  },
});

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
