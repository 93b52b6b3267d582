import { fail, ok, type Result } from "./result.ts";

/** Thrown by a `Reader` that would leave its buffer; `decoding` turns it into a `Result`. It never leaves this file's users. */
class OutOfBounds extends Error {}

/** Reads big-endian fields front to back; leaving the buffer ends the decoding with a named error. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get offset(): number {
    return this.#at;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8));
  }

  u16le(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32le(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A view, not a copy. */
  bytes(count: number): Uint8Array {
    const from = this.#take(count);
    return this.#bytes.subarray(from, from + count);
  }

  rest(): Uint8Array {
    return this.bytes(this.left);
  }

  skip(count: number): void {
    this.#take(count);
  }

  #take(count: number): number {
    if (count < 0 || count > this.left)
      throw new OutOfBounds(`${count} bytes wanted at ${this.#at}, ${this.left} left`);
    const from = this.#at;
    this.#at += count;
    return from;
  }
}

/** Runs a decoder that may run off the end of its input, and gives that back as a named error: `what` names the thing decoded. */
export function decoding<T>(what: string, decode: () => Result<T>): Result<T> {
  try {
    return decode();
  } catch (error) {
    if (error instanceof OutOfBounds) return fail(`${what}: ${error.message}`);
    throw error;
  }
}

/** Collects big-endian fields. Grows by doubling; `bytes()` gives a view of what was written. */
export class Writer {
  #bytes: Uint8Array;
  #view: DataView;
  #at = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#at;
  }

  u8(value: number): this {
    const at = this.#make(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16(value: number): this {
    const at = this.#make(2);
    this.#view.setUint16(at, value);
    return this;
  }

  u32(value: number): this {
    const at = this.#make(4);
    this.#view.setUint32(at, value);
    return this;
  }

  u64(value: bigint): this {
    const at = this.#make(8);
    this.#view.setBigUint64(at, value);
    return this;
  }

  u16le(value: number): this {
    const at = this.#make(2);
    this.#view.setUint16(at, value, true);
    return this;
  }

  u32le(value: number): this {
    const at = this.#make(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  put(bytes: Uint8Array): this {
    const at = this.#make(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** `count` zero bytes. */
  zeros(count: number): this {
    this.#make(count);
    return this;
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }

  /** Makes room. Call it before touching `#view` or `#bytes`: growing replaces both. */
  #make(count: number): number {
    const at = this.#at;
    const needed = at + count;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#at = needed;
    return at;
  }
}

export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** For secrets: how long it takes tells nothing of where they differ. */
export function equalSecrets(a: Uint8Array, b: Uint8Array): boolean {
  let differing = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) differing |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return differing === 0;
}

export const hex = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

export function fromHex(text: string): Result<Uint8Array> {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) return fail(`hex text ${text}: an even number of hex digits is wanted`);
  return ok(Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)));
}
