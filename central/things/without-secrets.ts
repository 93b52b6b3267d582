import type { DescField, DescMessage, Message, MessageShape } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { copyOf } from "#lib/message.ts";
import { isSecret } from "../audit/secret-fields.ts";

const known = new Map<DescMessage, boolean>();

const within = new Map<DescMessage, readonly DescField[]>();

/** Fields of the type that are secret, or hold what can be. */
function secretFields(schema: DescMessage): readonly DescField[] {
  const before = within.get(schema);
  if (before !== undefined) return before;
  const fields = schema.fields.filter((f) => isSecret(f) || (f.message !== undefined && canHoldSecrets(f.message)));
  within.set(schema, fields);
  return fields;
}

/** Whether messages of this type can hold a secret, at any depth. */
export function canHoldSecrets(schema: DescMessage): boolean {
  const before = known.get(schema);
  if (before !== undefined) return before;
  known.set(schema, false); // a type within itself adds nothing
  const can = schema.fields.some((f) => isSecret(f) || (f.message !== undefined && canHoldSecrets(f.message)));
  known.set(schema, can);
  return can;
}

/** Copies, made once for all who are shown a stored value: those are shared and never change. */
const copies = new WeakMap<Message, Message>();

/** A copy whose secret fields are empty, told by their descriptors; the message itself where it can hold none. */
export function withoutSecrets<S extends DescMessage>(schema: S, message: MessageShape<S>): MessageShape<S> {
  if (!canHoldSecrets(schema)) return message;
  const reflected = reflect(schema, message);
  if (!secretFields(schema).some((field) => reflected.isSet(field))) return message;
  const before = copies.get(message) as MessageShape<S> | undefined; // made of a message of this type
  if (before !== undefined) return before;
  const copy = copyOf(message);
  strike(schema, copy);
  copies.set(message, copy);
  return copy;
}

function strike(schema: DescMessage, message: Message): void {
  const reflected = reflect(schema, message);
  for (const field of secretFields(schema)) {
    if (!reflected.isSet(field)) continue;
    if (isSecret(field)) reflected.clear(field);
    else if (field.message === undefined) continue;
    else if (field.fieldKind === "message") strike(field.message, reflected.get(field).message);
    else if (field.fieldKind === "list")
      for (const one of reflected.get(field)) strike(field.message, (one as { message: Message }).message);
    else if (field.fieldKind === "map")
      for (const one of reflected.get(field).values()) strike(field.message, (one as { message: Message }).message);
  }
}
