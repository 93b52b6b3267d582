// What somebody asks for: which things, as one value; and what of it a thing answers.
import { create } from "@bufbuild/protobuf";
import { type Thing, type ThingQuery, ThingSchema } from "#gen/holdfast/api/v1/thing_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Caller } from "../access/caller.ts";
import { keyOf, kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { type About, projectReadings, type ThingKind, tenantReadings, thingKinds } from "./kinds.ts";
import { mayRead, type Sight } from "./sight.ts";

export interface Question {
  readonly kinds: readonly ThingKind[];
  /** Empty: of all projects. */
  readonly project: string;
  /** Empty: of all tenants. */
  readonly tenant: string;
  /** Undefined: all. */
  readonly ids: ReadonlySet<string> | undefined;
  readonly labels: readonly (readonly [string, string])[];
}

/** @throws Refusal "invalid" for a kind that there is not */
export function questionOf(names: readonly string[], query: ThingQuery | undefined): Question {
  const { project = "", tenant = "", ids = [], labels = {} } = query ?? {};
  return {
    kinds: names.length === 0 ? thingKinds : names.map(kindNamed),
    project,
    tenant,
    ids: ids.length === 0 ? undefined : new Set(ids),
    labels: Object.entries(labels),
  };
}

function kindNamed(name: string): ThingKind {
  const kind = thingKinds.find((k) => k.name === name);
  if (kind !== undefined) return kind;
  const text = `${name.slice(0, 64)} is no kind of thing: there are ${thingKinds.map((k) => k.name).join(", ")}`;
  throw new Refusal("invalid", text, { field: "kinds", reason: "UNKNOWN_KIND" });
}

const own = { user: "", isBase: false } as const;

/** @throws Refusal "denied" for a project or a tenant that is closed to the caller: empty answers would look as if it had nothing */
export function checkOpen({ project, tenant }: Question, caller: Caller): void {
  if (project !== "" && !mayRead(projectReadings, { ...own, project, tenant: "" }, caller, "")) {
    throw closed(`project ${project}`);
  }
  if (tenant !== "" && !mayRead(tenantReadings, { ...own, project: "", tenant }, caller, "")) {
    throw closed(`tenant ${tenant}`);
  }
}

const closed = (what: string) =>
  new Refusal("denied", `${what} is not open to the caller`, { field: "query", reason: "ACCESS" });

/** Whether it can be meant, as far as that hangs on whose it is. */
export function isMeant(
  state: Pick<State, "get">,
  { project, tenant }: Question,
  kind: ThingKind,
  about: About,
): boolean {
  if (!kind.isOwned || about.isBase) return true;
  if (project !== "" && about.project !== project) return false;
  if (tenant === "" || about.tenant === tenant) return true;
  if (about.tenant !== "" || about.project === "") return false;
  // A member's deletion may come together with that of the project.
  const owner = state.get(kinds.project, about.project)?.value.tenant;
  return owner === undefined || owner === tenant;
}

/** The thing as the caller may see it now; undefined when it is not there, not asked for, or not for the caller. */
export function thingFor(
  state: State,
  question: Question,
  sight: Sight,
  { kind, id }: { readonly kind: ThingKind; readonly id: string },
): Thing | undefined {
  const row = state.get(kind.kind, id);
  if (row === undefined || question.ids?.has(id) === false) return undefined;
  const about = kind.about(row.value, id);
  if (!isMeant(state, question, kind, about) || !sight.sees(kind, about)) return undefined;
  if (question.labels.length > 0) {
    const labels = kind.labels(state, row.value, id);
    if (!question.labels.every(([name, value]) => Object.hasOwn(labels, name) && labels[name] === value))
      return undefined;
  }
  const value = kind.show(state, row.value, id, question.project);
  if (value === undefined) return undefined;
  const halves = kind.halves.map((half) => state.get(half, id)?.revision ?? 0n);
  const revision = halves.reduce((last, one) => (one > last ? one : last), row.revision);
  return create(ThingSchema, { kind: kind.name, id, revision, value });
}

/** Names a thing among those of all kinds. */
export const thingKey = (kind: ThingKind, id: string): string => keyOf(kind.kind, id);
