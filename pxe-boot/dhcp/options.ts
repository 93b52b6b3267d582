import type { Ipv4 } from "#lib/net/ipv4.ts";
import { type MessageType, messageTypes } from "./message.ts";
import { decodeArea, joinPieces, type Piece } from "./option-area.ts";
import { optionCode } from "./option-codes.ts";

// Typed access to option values. An option of the wrong length counts as absent: firmware that gets one option wrong must
// still boot.

export type Options = ReadonlyMap<number, Uint8Array>;

export function ipv4Option(options: Options, code: number): Ipv4 | undefined {
  const value = options.get(code);
  return value?.length === 4 ? (u32Of(value) as Ipv4) : undefined;
}

export function u16Option(options: Options, code: number): number | undefined {
  const value = options.get(code);
  return value?.length === 2 ? value[0]! * 256 + value[1]! : undefined;
}

export function messageTypeOf(options: Options): MessageType | undefined {
  const value = options.get(optionCode.messageType);
  return value?.length === 1 ? (messageTypes as Readonly<Record<number, MessageType>>)[value[0]!] : undefined;
}

/** Latin-1 without trailing NULs, which some firmware sends. */
export function textOption(options: Options, code: number): string | undefined {
  const value = options.get(code);
  return value && String.fromCharCode(...value.subarray(0, 1024)).replace(/\0+$/, "");
}

/** The architectures of option 93, in order. */
export function architecturesOption(options: Options): readonly number[] {
  const value = options.get(optionCode.clientArchitecture) ?? new Uint8Array();
  return Array.from({ length: Math.min(value.length >> 1, 64) }, (_, i) => value[2 * i]! * 256 + value[2 * i + 1]!);
}

/**
 * Options within an option (43, 82, 175), by sub-code; what does not parse is empty. Code 0 is padding and 255 ends, except in
 * option 82, which has neither: no relay sends those as sub-options.
 */
export function subOptions(options: Options, code: number): Options {
  const value = options.get(code);
  const pieces = value ? decodeArea(`option ${code}`, value) : undefined;
  return joinPieces(pieces?.ok ? pieces.value : []);
}

/** @param pieces each at most 255 bytes */
export const encodeSubOptions = (pieces: readonly Piece[]): Uint8Array =>
  Uint8Array.from(pieces.flatMap(({ code, bytes }) => [code, bytes.length, ...bytes]));

/**
 * The user classes of option 77: a list of length-prefixed values as the RFC has it, or the bare text that iPXE and some UEFI
 * firmware send.
 * @source RFC 3004 §4
 */
export function userClassesOption(options: Options): readonly string[] {
  const value = options.get(optionCode.userClass)?.subarray(0, 1024);
  if (!value || value.length === 0) return [];
  const classes: string[] = [];
  for (let at = 0; at < value.length; ) {
    const length = value[at]!;
    const from = at + 1;
    at = from + length;
    if (length === 0 || at > value.length) return [String.fromCharCode(...value)];
    classes.push(String.fromCharCode(...value.subarray(from, at)));
  }
  return classes;
}

const u32Of = (b: Uint8Array): number => ((b[0]! << 24) | (b[1]! << 16) | (b[2]! << 8) | b[3]!) >>> 0;

export const u32Bytes = (n: number): Uint8Array => Uint8Array.of(n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255);

export const textBytes = (text: string): Uint8Array => new TextEncoder().encode(text);
