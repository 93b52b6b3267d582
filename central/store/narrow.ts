// Lists answer queries from indexes: of the fields that a query sets, one that is indexed names the rows among which all others are
// looked for.
import type { Labels, Meta } from "#gen/metalstack/api/v2/common_pb.ts";
import type { Index, Stored } from "./cache.ts";
import type { Kind, Of } from "./kinds.ts";
import type { State } from "./state.ts";

/** An index and the key that a query asks for; undefined: it does not. */
export type Hint<K extends Kind> = readonly [Index<K>, string | undefined];

/** The rows of the first index whose key is asked for, else all. @param hints those that are expected to leave the fewest first */
export function narrowed<K extends Kind>(
  state: Pick<State, "by" | "list">,
  kind: K,
  hints: readonly Hint<K>[],
): readonly Stored<Of<K>>[] {
  for (const [index, key] of hints) if (key !== undefined) return state.by(index, key);
  return state.list(kind);
}

/** Things by each of their labels; one index for all who ask for the kind. @param labelsOf their labels, which hang on the value alone */
export const labelIndex = <K extends Kind>(
  state: Pick<State, "index">,
  kind: K,
  labelsOf: (value: Of<K>) => Readonly<Record<string, string>>,
): Index<K> => state.index(kind, "label", (value) => Object.entries(labelsOf(value)).map(labelKey));

export const labelKey = ([name, value]: readonly [string, string]): string => JSON.stringify([name, value]);

/** The key of one of the labels that a query asks for. */
export function firstLabel(wanted: Labels | undefined): string | undefined {
  const [first] = Object.entries(wanted?.labels ?? {});
  return first && labelKey(first);
}

export const ownLabels = ({ meta }: { readonly meta?: Meta | undefined }): Readonly<Record<string, string>> =>
  meta?.labels?.labels ?? {};
