// Finds the first field of a message, at any depth, that somebody objects to. What has to be looked at is worked out once for each
// type of message: requests come often and descriptors stay.
import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";

export interface Objection {
  /** Path of the field, such as `events[0].time`. */
  readonly field: string;
  readonly why: string;
}

/**
 * @param field of which one value is given: of a list each item, of a map each key and each item
 * @returns why the value is not taken; undefined when it is
 */
export type Judge = (field: DescField, value: unknown) => string | undefined;

export interface Judgement {
  /** Whether the field's own values are judged. All others are only looked into. */
  readonly concerns: (field: DescField) => boolean;
  readonly judge: Judge;
}

export type Finder = (desc: DescMessage, message: Message) => Objection | undefined;

export function finder({ concerns, judge }: Judgement): Finder {
  const fieldsOf = new Map<DescMessage, readonly DescField[]>();

  const isOfInterest = (field: DescField, above: readonly DescMessage[]): boolean =>
    concerns(field) || (field.message !== undefined && interests(field.message, above));

  function interests(desc: DescMessage, above: readonly DescMessage[]): boolean {
    const known = fieldsOf.get(desc);
    if (known !== undefined) return known.length > 0;
    return !above.includes(desc) && desc.fields.some((field) => isOfInterest(field, [...above, desc]));
  }

  function interesting(desc: DescMessage): readonly DescField[] {
    const known = fieldsOf.get(desc);
    if (known !== undefined) return known;
    const found = desc.fields.filter((field) => isOfInterest(field, []));
    fieldsOf.set(desc, found);
    return found;
  }

  function find(desc: DescMessage, message: Message): Objection | undefined {
    for (const field of interesting(desc)) {
      for (const [key, value] of valuesOf(message, field)) {
        const why = concerns(field) ? judge(field, value) : undefined;
        const path = key === undefined ? field.name : `${field.name}[${key}]`;
        if (why !== undefined) return { field: path, why };
        const inner = field.message && isMessage(value) ? find(field.message, value) : undefined;
        if (inner) return { field: `${path}.${inner.field}`, why: inner.why };
      }
    }
    return undefined;
  }
  return find;
}

const isMessage = (value: unknown): value is Message =>
  typeof value === "object" && value !== null && "$typeName" in value;

type Entry = readonly [key: string | number | undefined, value: unknown];

function valuesOf(message: Message, field: DescField): Iterable<Entry> {
  const value = contentOf(message, field);
  if (value === undefined) return [];
  if (field.fieldKind === "list") return (value as readonly unknown[]).entries();
  if (field.fieldKind === "map")
    return Object.entries(value as Readonly<Record<string, unknown>>).flatMap(([key, item]) => [
      [key, key],
      [key, item],
    ]);
  return [[undefined, value]];
}

/** As generated code keeps it: fields of a oneof lie together under the name of that. */
function contentOf(message: Message, { localName, oneof }: DescField): unknown {
  const fields = message as unknown as Readonly<Record<string, unknown>>;
  if (oneof === undefined) return fields[localName];
  const chosen = fields[oneof.localName] as { readonly case?: string; readonly value?: unknown } | undefined;
  return chosen?.case === localName ? chosen.value : undefined;
}
