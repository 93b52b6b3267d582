import { fail, ok, type Result } from "#lib/result.ts";
import { optionCode } from "./option-codes.ts";

/** One piece of an option as it lies in an area. */
export interface Piece {
  readonly code: number;
  readonly bytes: Uint8Array;
}

/**
 * Splits an area of code-length-value options; stops at the end option, and accepts an area without one.
 * @source RFC 2132 §2
 */
export function decodeArea(what: string, area: Uint8Array): Result<readonly Piece[]> {
  const pieces: Piece[] = [];
  for (let at = 0; at < area.length; ) {
    const code = area[at++]!;
    if (code === optionCode.pad) continue;
    if (code === optionCode.end) break;
    const length = area[at++];
    if (length === undefined) return fail(`dhcp ${what}: option ${code} has no length`);
    if (length > area.length - at)
      return fail(`dhcp ${what}: option ${code} wants ${length} bytes, ${area.length - at} are left`);
    pieces.push({ code, bytes: area.subarray(at, at + length) });
    at += length;
  }
  return ok(pieces);
}

/** Puts the pieces of each code together, in wire order. @source RFC 3396 §7 */
export function joinPieces(pieces: readonly Piece[]): Map<number, Uint8Array> {
  const byCode = new Map<number, Uint8Array[]>();
  for (const { code, bytes } of pieces) {
    const found = byCode.get(code);
    if (found) found.push(bytes);
    else byCode.set(code, [bytes]);
  }
  return new Map(Array.from(byCode, ([code, parts]) => [code, parts.length === 1 ? parts[0]! : concat(parts)]));
}

/** Cuts values longer than 255 bytes into pieces that fit one length byte. @source RFC 3396 §6 */
export function* splitPieces(options: ReadonlyMap<number, Uint8Array>): Iterable<Piece> {
  for (const [code, bytes] of options) {
    for (let at = 0; at === 0 || at < bytes.length; at += 255) yield { code, bytes: bytes.subarray(at, at + 255) };
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
