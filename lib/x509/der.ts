// As much of DER as certificates are made of. Writing is for values of ours, reading is for bytes from the network.
import { Reader } from "../bytes.ts";
import { fail, ok, type Result } from "../result.ts";

/** @source X.690 §8; the last two are context tags, constructed and primitive */
export const tag = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  constructed: (n: number): number => 0xa0 | n,
  primitive: (n: number): number => 0x80 | n,
} as const;

/** Type, length, content; contents of more than 64 KiB do not occur. @source X.690 §10.1 */
export function der(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  const made = new Uint8Array(1 + size.length + length);
  made.set([type, ...size]);
  let at = 1 + size.length;
  for (const part of parts) {
    made.set(part, at);
    at += part.length;
  }
  return made;
}

export const sequence = (...parts: readonly Uint8Array[]): Uint8Array => der(tag.sequence, ...parts);

/** An object identifier of arcs below 2^28. @source X.690 §8.19 */
export function oid(...[first = 0, second = 0, ...arcs]: readonly number[]): Uint8Array {
  const bytes = arcs.flatMap((arc) => {
    const digits = [arc & 0x7f];
    for (let left = arc >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80);
    return digits;
  });
  return der(tag.oid, Uint8Array.of(first * 40 + second, ...bytes));
}

export const text = (content: string): Uint8Array => der(tag.utf8, new TextEncoder().encode(content));

/** Whole bytes, none of the last one's bits unused. */
export const bits = (content: Uint8Array): Uint8Array => der(tag.bits, Uint8Array.of(0), content);

export interface Element {
  readonly type: number;
  readonly content: Uint8Array;
  /** Type, length and content. */
  readonly whole: Uint8Array;
}

/**
 * The elements that these bytes are made of, one after the other, and nothing else. Elements inside of them are not looked at.
 * @param most that there may be
 */
export function elementsOf(bytes: Uint8Array, most: number): Result<readonly Element[]> {
  const reader = new Reader(bytes);
  const found: Element[] = [];
  while (reader.left > 0) {
    if (found.length === most) return fail(`more than ${most} elements`);
    const from = reader.offset;
    if (reader.left < 2) return fail(`an element at ${from} is cut short`);
    const type = reader.u8();
    const first = reader.u8();
    const more = first < 0x80 ? 0 : first - 0x80;
    if (first === 0x80 || more > 2 || more > reader.left) return fail(`the element at ${from} has no usable length`);
    const length = more === 0 ? first : more === 1 ? reader.u8() : reader.u16();
    if (length > reader.left) return fail(`the element at ${from} is of ${length} bytes, and ${reader.left} are left`);
    found.push({ type, content: reader.bytes(length), whole: bytes.subarray(from, reader.offset) });
  }
  return ok(found);
}
