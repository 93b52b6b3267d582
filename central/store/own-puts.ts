// What this process has put and expects to be shown by the store. It need not be decoded again: the message that was put is taken, which
// nobody changes any more.
import { type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { equalBytes } from "#lib/bytes.ts";
import type { Kind } from "./kinds.ts";
import type { Item, Put } from "./store.ts";

export class OwnPuts {
  readonly #puts = new Map<string, Put>();

  expect(puts: readonly Put[]): void {
    for (const put of puts) if (put.decoded !== undefined) this.#puts.set(put.key, put);
  }

  expectNoLonger(puts: readonly Put[]): void {
    for (const put of puts) if (this.#puts.get(put.key) === put) this.#puts.delete(put.key);
  }

  /** @returns the message that was put as these very bytes; undefined when it has to be decoded */
  messageOf(kind: Kind, { key, value }: Item): Message | undefined {
    const put = this.#puts.get(key);
    return put && !hasBytes(kind.schema) && equalBytes(put.value, value) ? put.decoded : undefined;
  }
}

const known = new WeakMap<DescMessage, boolean>();

/** Whether any field, however deep, holds bytes: those may be a view of something larger, or a Buffer, which decoded ones are not. */
function hasBytes(schema: DescMessage): boolean {
  const has = known.get(schema);
  if (has !== undefined) return has;
  const leads = leadsToBytes(schema, new Set());
  known.set(schema, leads);
  return leads;
}

/** @param passed messages that were looked at already */
function leadsToBytes(schema: DescMessage, passed: Set<DescMessage>): boolean {
  if (passed.has(schema)) return false;
  passed.add(schema);
  return schema.fields.some(({ message, scalar }) =>
    message ? leadsToBytes(message, passed) : scalar === ScalarType.BYTES,
  );
}
