import type { Message } from "@bufbuild/protobuf";
import type { Index, Stored } from "../store/cache.ts";
import { type Hint, labelIndex, labelKey, narrowed } from "../store/narrow.ts";
import type { State } from "../store/state.ts";
import type { ThingKind } from "./kinds.ts";
import type { Question } from "./question.ts";

/** Rows of a kind among which all are for which the question holds, in id order. */
export function candidates(
  state: State,
  { ids, labels, project }: Question,
  kind: ThingKind,
): readonly Stored<Message>[] {
  if (ids !== undefined) return [...ids].sort().flatMap((id) => state.get(kind.kind, id) ?? []);
  const hints: Hint<ThingKind["kind"]>[] = [];
  const [first] = labels;
  if (first !== undefined && kind.isLabelledItself) hints.push([labelsOf(state, kind), labelKey(first)]);
  if (project !== "" && kind.byProject) hints.push([kind.byProject(state), project]);
  return narrowed(state, kind.kind, hints);
}

const labelsOf = (state: State, kind: ThingKind): Index =>
  labelIndex(state, kind.kind, (value) => kind.labels(state, value, ""));
