// Bytes of the embedded store's records; all numbers big-endian, lengths in bytes.
//
//   item    created u64 | revision u64 | value …
//   batch   count u32 | count times: isPut u8 | key length u16 | key | (isPut: created u64 | value length u32 | value)
//
// An item's key, and a batch's revision, are the record's keys.
import { decoding, Reader, Writer } from "#lib/bytes.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import type { Batch, Item, StoreChange } from "./store.ts";

export const encodeItem = ({ created, revision, value }: Item): Uint8Array =>
  new Writer(16 + value.length).u64(created).u64(revision).put(value).bytes();

/** The value is a view of `bytes`. */
export const decodeItem = (key: string, bytes: Uint8Array): Result<Item> =>
  decoding(`stored item ${key}`, () => {
    const r = new Reader(bytes);
    return ok({ key, created: r.u64(), revision: r.u64(), value: r.rest() });
  });

export function encodeBatch({ changes }: Batch): Uint8Array {
  const w = new Writer().u32(changes.length);
  for (const { key, item } of changes) {
    const name = new TextEncoder().encode(key);
    w.u8(item === undefined ? 0 : 1)
      .u16(name.length)
      .put(name);
    if (item !== undefined) w.u64(item.created).u32(item.value.length).put(item.value);
  }
  return w.bytes();
}

/** The values are views of `bytes`. */
export const decodeBatch = (revision: bigint, bytes: Uint8Array): Result<Batch> =>
  decoding(`stored batch ${revision}`, () => {
    const r = new Reader(bytes);
    const changes: StoreChange[] = [];
    for (let left = r.u32(); left > 0; left--) {
      const isPut = r.u8() === 1;
      const key = new TextDecoder().decode(r.bytes(r.u16()));
      const item = isPut ? { key, revision, created: r.u64(), value: r.bytes(r.u32()) } : undefined;
      changes.push({ key, item });
    }
    return r.left === 0 ? ok({ revision, changes }) : fail(`stored batch ${revision}: ${r.left} bytes too many`);
  });
