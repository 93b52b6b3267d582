// One payload of Serial over LAN, either way (IPMI 2.0 §15.9):
//
//   0s 0a count8 flags8 characters…       s, a: packet sequence numbers, 1 to 15; 0: nothing to acknowledge, nothing acknowledged
//
// To the BMC: flags 0x10 asks for a break. From it: 0x40 not acknowledged, 0x20 characters cannot be passed on, 0x10 it has ended.
import { decoding, Reader, Writer } from "#lib/bytes.ts";
import { ok, type Result } from "#lib/result.ts";

export interface SolPacket {
  readonly sequence: number;
  readonly acknowledged: number;
  /** Characters of the acknowledged packet that were taken. */
  readonly accepted: number;
  readonly flags: number;
  readonly characters: Uint8Array;
}

export const solFlags = { break: 0x10, notAcknowledged: 0x40, unavailable: 0x20, ended: 0x10 } as const;

export const encodeSol = ({ sequence, acknowledged, accepted, flags, characters }: SolPacket): Uint8Array =>
  new Writer().u8(sequence).u8(acknowledged).u8(accepted).u8(flags).put(characters).bytes();

export const decodeSol = (bytes: Uint8Array): Result<SolPacket> =>
  decoding("SOL packet", () => {
    const reader = new Reader(bytes);
    const [sequence, acknowledged] = [reader.u8() & 0x0f, reader.u8() & 0x0f];
    return ok({ sequence, acknowledged, accepted: reader.u8(), flags: reader.u8(), characters: reader.rest() });
  });

/** What came last: a packet that is repeated keeps its number, and may bring more characters than before. */
export interface LastHeard {
  readonly sequence: number;
  readonly count: number;
}

export const nothingHeard: LastHeard = { sequence: 0, count: 0 };

/** @returns the characters that are new, and what is to be remembered */
export function heard(
  last: LastHeard,
  { sequence, characters }: SolPacket,
): { readonly last: LastHeard; readonly fresh: Uint8Array } {
  if (sequence === 0) return { last, fresh: characters.subarray(0, 0) };
  const known = sequence === last.sequence ? last.count : 0;
  const count = Math.max(known, characters.length);
  return { last: { sequence, count }, fresh: characters.subarray(known) };
}
