import { hex } from "#lib/bytes.ts";

/**
 * The byte order in which a BMC sends a GUID.
 * - `smbios`: first three fields little-endian, the rest as printed: what the SMBIOS type 1 structure holds.
 * - `rfc4122`: all as printed.
 * - `reversed`: last byte first, which is what IPMI 2.0 §20.8 asks for.
 */
export type GuidOrder = "smbios" | "rfc4122" | "reversed";

/**
 * The UUID as the operating system shows it: lower-case, with dashes.
 * @param guid 16 bytes
 */
export function uuidOfGuid(guid: Uint8Array, order: GuidOrder): string {
  const text = hex(inPrintedOrder(guid, order));
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join("-");
}

function inPrintedOrder(guid: Uint8Array, order: GuidOrder): Uint8Array {
  if (order === "rfc4122") return guid;
  if (order === "reversed") return guid.toReversed();
  return Uint8Array.from([3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15], (i) => guid[i] as number);
}

/** All zeros or all ones: the maker never set it. */
export const isUnset = (guid: Uint8Array): boolean => guid.every((b) => b === 0) || guid.every((b) => b === 0xff);
