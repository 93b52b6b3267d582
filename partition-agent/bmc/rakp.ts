// RAKP messages 1 to 4 (IPMI 2.0 §13.20 to §13.23); both sides prove that they know the password and agree on keys.
//
//   RAKP 1   tag8 00 00 00  bmcId32  consoleRandom[16]  role8 00 00 length8 user…
//   RAKP 2   tag8 status8 00 00  consoleId32  [bmcRandom[16] guid[16] code…]
//   RAKP 3   tag8 status8 00 00  bmcId32  [code…]
//   RAKP 4   tag8 status8 00 00  consoleId32  [code…]
import { decoding, Reader, Writer } from "#lib/bytes.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import type { RefusedStep } from "./open-session.ts";

export interface Rakp1 {
  readonly tag: number;
  readonly bmcId: number;
  readonly consoleRandom: Uint8Array;
  /** Requested privilege; bit 4: look the user up by name alone. */
  readonly role: number;
  /** At most 16 bytes. */
  readonly user: Uint8Array;
}

export type Rakp2 =
  | {
      readonly tag: number;
      readonly status: 0;
      readonly consoleId: number;
      readonly bmcRandom: Uint8Array;
      /** Of the managed system, in the BMC's byte order. */
      readonly guid: Uint8Array;
      readonly code: Uint8Array;
    }
  | RefusedStep;

export interface Rakp3 {
  readonly tag: number;
  readonly status: number;
  readonly bmcId: number;
  readonly code: Uint8Array;
}

export type Rakp4 =
  | { readonly tag: number; readonly status: 0; readonly consoleId: number; readonly code: Uint8Array }
  | RefusedStep;

const userBytesMax = 16;

export const encodeRakp1 = (r: Rakp1): Uint8Array =>
  new Writer()
    .u8(r.tag)
    .zeros(3)
    .u32le(r.bmcId)
    .put(r.consoleRandom)
    .u8(r.role)
    .u16(0)
    .u8(r.user.length)
    .put(r.user)
    .bytes();

export function decodeRakp1(bytes: Uint8Array): Result<Rakp1> {
  return decoding("RAKP 1", () => {
    const reader = new Reader(bytes);
    const tag = reader.u8();
    reader.skip(3);
    const bmcId = reader.u32le();
    const consoleRandom = reader.bytes(16);
    const role = reader.u8();
    reader.skip(2);
    const length = reader.u8();
    if (length > userBytesMax) return fail(`RAKP 1: user of ${length} bytes exceeds ${userBytesMax}`);
    return ok({ tag, bmcId, consoleRandom, role, user: reader.bytes(length) });
  });
}

export function encodeRakp2(r: Rakp2): Uint8Array {
  const writer = new Writer().u8(r.tag).u8(r.status).u16(0);
  if (r.consoleId === undefined) return writer.u32(0).bytes();
  return writer.u32le(r.consoleId).put(r.bmcRandom).put(r.guid).put(r.code).bytes();
}

export function decodeRakp2(bytes: Uint8Array): Result<Rakp2> {
  return decoding<Rakp2>("RAKP 2", () => {
    const reader = new Reader(bytes);
    const tag = reader.u8();
    const status = reader.u8();
    if (status !== 0) return ok({ tag, status, consoleId: undefined });
    reader.skip(2);
    const consoleId = reader.u32le();
    const bmcRandom = reader.bytes(16);
    const guid = reader.bytes(16);
    return ok({ tag, status, consoleId, bmcRandom, guid, code: reader.rest() });
  });
}

export const encodeRakp3 = (r: Rakp3): Uint8Array =>
  new Writer().u8(r.tag).u8(r.status).u16(0).u32le(r.bmcId).put(r.code).bytes();

export function decodeRakp3(bytes: Uint8Array): Result<Rakp3> {
  return decoding("RAKP 3", () => {
    const reader = new Reader(bytes);
    const tag = reader.u8();
    const status = reader.u8();
    reader.skip(2);
    return ok({ tag, status, bmcId: reader.u32le(), code: reader.rest() });
  });
}

export function encodeRakp4(r: Rakp4): Uint8Array {
  const writer = new Writer().u8(r.tag).u8(r.status).u16(0);
  if (r.consoleId === undefined) return writer.u32(0).bytes();
  return writer.u32le(r.consoleId).put(r.code).bytes();
}

export function decodeRakp4(bytes: Uint8Array): Result<Rakp4> {
  return decoding<Rakp4>("RAKP 4", () => {
    const reader = new Reader(bytes);
    const tag = reader.u8();
    const status = reader.u8();
    if (status !== 0) return ok({ tag, status, consoleId: undefined });
    reader.skip(2);
    return ok({ tag, status, consoleId: reader.u32le(), code: reader.rest() });
  });
}
