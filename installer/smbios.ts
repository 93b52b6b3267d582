import { Reader } from "#lib/bytes.ts";

// The SMBIOS structure table: structures one after another, each a formatted part and then its strings.
//
//   0 type u8 · 1 length u8 (of the formatted part) · 2 handle u16le · … · strings, each ended by 0 · 0
//   (no strings: two zeros). String fields hold the number of a string, counted from 1; 0 means none.
//
// Source: DMTF DSP0134 (SMBIOS 3.6) §6.1.2, §6.1.3, §7.1 to §7.4, §7.18.

/** What a server's firmware says of it. A text is empty when the firmware says nothing. */
export interface Smbios {
  /** Lower-case text form; empty when the firmware has none. */
  readonly uuid: string;
  readonly bios: { readonly vendor: string; readonly version: string; readonly date: string };
  readonly product: {
    readonly manufacturer: string;
    readonly name: string;
    readonly serial: string;
    readonly sku: string;
  };
  readonly board: { readonly manufacturer: string; readonly product: string; readonly serial: string };
  readonly chassis: { readonly serial: string; readonly sku: string };
  readonly memory: readonly { readonly slot: string; readonly sizeBytes: number }[];
}

interface Structure {
  readonly type: number;
  readonly formatted: Uint8Array;
  readonly strings: readonly string[];
}

/** Enough for every real table, and an end for a made-up one. */
const structuresMax = 4096;

/** Takes what can be read: firmware tables are known to be cut short or filled with rubbish at their end. */
export function decodeSmbios(table: Uint8Array): Smbios {
  const all = structures(table);
  const first = (type: number): Structure =>
    all.find((s) => s.type === type) ?? { type, formatted: new Uint8Array(0), strings: [] };
  const [bios, system, board, chassis] = [first(0), first(1), first(2), first(3)];
  return {
    uuid: uuidText(system.formatted.subarray(8, 24)),
    bios: { vendor: text(bios, 4), version: text(bios, 5), date: text(bios, 8) },
    product: { manufacturer: text(system, 4), name: text(system, 5), serial: text(system, 7), sku: text(system, 0x19) },
    board: { manufacturer: text(board, 4), product: text(board, 5), serial: text(board, 7) },
    chassis: { serial: text(chassis, 7), sku: chassisSku(chassis) },
    memory: all.filter((s) => s.type === 17).map((s) => ({ slot: text(s, 0x10), sizeBytes: memoryBytes(s.formatted) })),
  };
}

function structures(table: Uint8Array): Structure[] {
  const found: Structure[] = [];
  let at = 0;
  while (found.length < structuresMax && at + 4 <= table.length) {
    const type = table[at] as number;
    const length = table[at + 1] as number;
    if (length < 4 || at + length > table.length || type === 127) break;
    const end = stringsEnd(table, at + length);
    const strings = latin1(table.subarray(at + length, end)).split("\0");
    found.push({ type, formatted: table.subarray(at, at + length), strings });
    at = end + 2;
  }
  return found;
}

function stringsEnd(table: Uint8Array, from: number): number {
  let at = from;
  while (at + 1 < table.length && (table[at] !== 0 || table[at + 1] !== 0)) at++;
  return at;
}

function text(s: Structure, field: number): string {
  const number = s.formatted[field] ?? 0;
  return number === 0 ? "" : (s.strings[number - 1] ?? "").trim();
}

/** Behind the contained elements, whose count and size are in the structure. @source DSP0134 §7.4 */
function chassisSku(s: Structure): string {
  const count = s.formatted[0x13] ?? 0;
  const size = s.formatted[0x14] ?? 0;
  return text(s, 0x15 + count * size);
}

/** The first three fields are little endian since SMBIOS 2.6. All ones or zeros: not set. @source DSP0134 §7.2.1 */
function uuidText(bytes: Uint8Array): string {
  if (bytes.length < 16 || bytes.every((b) => b === 0xff) || bytes.every((b) => b === 0)) return "";
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  const digits = order.map((i) => (bytes[i] as number).toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** In MiB, or KiB with the top bit set; 0x7fff: see the extended size; 0xffff: unknown; 0: an empty slot. @source DSP0134 §7.18.5 */
function memoryBytes(formatted: Uint8Array): number {
  const fields = new Reader(formatted);
  if (formatted.length < 0x0e) return 0;
  fields.skip(0x0c);
  const size = fields.u16le();
  if (size === 0xffff) return 0;
  if (size === 0x7fff) {
    if (formatted.length < 0x20) return 0;
    fields.skip(0x1c - 0x0e);
    return (fields.u32le() & 0x7fffffff) * 2 ** 20;
  }
  return (size & 0x8000) !== 0 ? (size & 0x7fff) * 1024 : size * 2 ** 20;
}

const latin1 = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);
