import { type DescMessage, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";
import { whole } from "#lib/whole.ts";

/** JSON; absent where there was nothing. */
export interface Difference {
  readonly path: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** Characters of one value. */
const valueMax = 4096;

/** Fields in which two messages of one type differ, by their JSON: those of the first in its order, then those that only the second has. */
export function differences<S extends DescMessage>(
  schema: S,
  before: MessageShape<S> | undefined,
  after: MessageShape<S> | undefined,
): readonly Difference[] {
  const one = before ? leavesOf(json(schema, before)) : new Map<string, string>();
  const other = after ? leavesOf(json(schema, after)) : new Map<string, string>();
  return [...new Set([...one.keys(), ...other.keys()])].flatMap((path) => {
    const [was, is] = [one.get(path), other.get(path)];
    return was === is ? [] : [{ path, before: cut(was), after: cut(is) }];
  });
}

const json = <S extends DescMessage>(schema: S, message: MessageShape<S>): JsonValue =>
  toJson(schema, message, { useProtoFieldName: true });

const cut = (text: string | undefined): string | undefined =>
  text !== undefined && text.length > valueMax ? `${whole(text, valueMax)}…` : text;

/** Every value that has none within, by its path. */
function leavesOf(value: JsonValue): ReadonlyMap<string, string> {
  const leaves = new Map<string, string>();
  const walk = (at: JsonValue, path: string): void => {
    const isWhole = typeof at !== "object" || at === null || Object.keys(at).length === 0;
    if (isWhole) leaves.set(path, JSON.stringify(at));
    else if (Array.isArray(at)) for (const [i, item] of at.entries()) walk(item, `${path}[${i}]`);
    else for (const [name, item] of Object.entries(at)) walk(item, path + step(name, path === ""));
  };
  walk(value, "");
  leaves.delete(""); // a message without any field
  return leaves;
}

const step = (name: string, isFirst: boolean): string => {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return `[${JSON.stringify(name)}]`;
  return isFirst ? name : `.${name}`;
};
