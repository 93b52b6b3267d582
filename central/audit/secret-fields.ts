// Which fields of requests and answers hold secrets: decided by their descriptors, so that a field that is added tomorrow is judged too.
import { type DescField, type DescMessage, type DescService, ScalarType } from "@bufbuild/protobuf";
import { whole } from "#lib/whole.ts";

/** Last words of the names of text fields that are secret wherever they are. */
const secretNames = /(^|_)(secret|password|passphrase|userdata|auth_key|private_key|join_string|credentials?)$/;

/** Bytes are always taken for secret: they are keys, certificates, or messages within messages whose fields cannot be told apart here. */
export const isSecret = (field: DescField): boolean =>
  field.scalar === ScalarType.BYTES || (field.scalar === ScalarType.STRING && secretNames.test(field.name));

/** All secret fields that requests and answers of these services can hold, as `message.field`, in order. */
export function secretFieldsOf(services: readonly DescService[]): readonly string[] {
  const found = new Set<string>();
  const seen = new Set<DescMessage>();
  const look = (message: DescMessage): void => {
    if (seen.has(message)) return;
    seen.add(message);
    for (const field of message.fields) {
      if (isSecret(field)) found.add(`${message.typeName}.${field.name}`);
      if (field.message !== undefined) look(field.message);
    }
  };
  for (const { input, output } of services.flatMap((s) => s.methods)) {
    look(input);
    look(output);
  }
  return [...found].sort();
}

/** Text of which more than this is not looked through; nothing beyond it is written down. */
const lookedAtMax = 4096;
const secretForms: readonly [RegExp, string][] = [
  [/eyJ[\w-]{8,}(\.[\w-]*)*/g, "***"],
  [/holdfast-join-\d\.[\w-]*/g, "***"],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, "***"],
  [/(:\/\/)[^\s/@]+@/g, "$1***@"],
];

/** A text of any field without what looks like a token, a private key or a password in a URL, cut to `charactersMax`. */
export function struck(text: string, charactersMax: number): string {
  let left = text.slice(0, lookedAtMax);
  for (const [form, by] of secretForms) left = left.replace(form, by);
  return text.length > lookedAtMax || left.length > charactersMax ? `${whole(left, charactersMax)}…` : left;
}
