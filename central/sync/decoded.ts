import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { badTime } from "#lib/rpc/times.ts";

/** What an agent reported; undefined when it cannot be read, or could not be shown again. */
export function decoded<S extends DescMessage>(schema: S, value: Uint8Array): MessageShape<S> | undefined {
  try {
    const message = fromBinary(schema, value);
    return badTime(schema, message) === undefined ? message : undefined;
  } catch {
    return undefined;
  }
}
