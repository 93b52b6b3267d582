import { type DescMessage, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";

/** SHA-256 of a message, whatever the encoding and the order of maps in which it came: some clients change that from call to call. */
export const messageDigest = (schema: DescMessage, message: Message): Promise<Uint8Array> =>
  sha256(JSON.stringify(inOrder(toJson(schema, message))));

export async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

function inOrder(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([name, one]) => [name, inOrder(one)]);
}
