import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeSmbios } from "./smbios.ts";

const structure = (type: number, formatted: readonly number[], ...strings: readonly string[]): number[] => [
  type,
  formatted.length + 4,
  0,
  0,
  ...formatted,
  ...(strings.length === 0 ? [0, 0] : [...new TextEncoder().encode(`${strings.join("\0")}\0`), 0]),
];
const uuid = [0x4e, 0x1a, 0x2d, 0x6c, 0xb1, 0x93, 0x52, 0x4a, 0x9a, 0x3e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x01];
const zeros = (count: number): number[] => Array.from({ length: count }, () => 0);
const memory = (size: number, extendedMib = 0): number[] =>
  structure(
    17,
    [
      ...zeros(8),
      size & 255,
      size >> 8,
      0,
      0,
      1,
      0,
      ...zeros(10),
      extendedMib & 255,
      (extendedMib >> 8) & 255,
      extendedMib >> 16,
      0,
    ],
    "DIMM 0",
  );

test("a table gives BIOS, system with its UUID, board and chassis", () => {
  const table = Uint8Array.from([
    ...structure(0, [1, 2, 0, 0, 3], "SeaBIOS", "1.16.2 ", "04/01/2014"),
    ...structure(1, [1, 2, 0, 3, ...uuid, 0, 4], "Lab", "BM-1", "SN-1", "SKU-1"),
    ...structure(2, [1, 2, 0, 3], "Board Co", "X11", "B-1"),
    ...structure(3, [1, 1, 0, 2, ...zeros(11), 0, 0, 3], "Chassis Co", "C-1", "CSKU"),
    ...structure(127, []),
  ]);
  const s = decodeSmbios(table);
  assert.equal(s.uuid, "6c2d1a4e-93b1-4a52-9a3e-111111111101");
  assert.deepEqual(s.bios, { vendor: "SeaBIOS", version: "1.16.2", date: "04/01/2014" });
  assert.deepEqual(s.product, { manufacturer: "Lab", name: "BM-1", serial: "SN-1", sku: "SKU-1" });
  assert.deepEqual(s.board, { manufacturer: "Board Co", product: "X11", serial: "B-1" });
  assert.deepEqual(s.chassis, { serial: "C-1", sku: "CSKU" });
});

test("memory is given in MiB, in KiB, as extended size, as an empty slot or as unknown", () => {
  const table = Uint8Array.from([
    ...memory(1024),
    ...memory(0x8400),
    ...memory(0x7fff, 65536),
    ...memory(0),
    ...memory(0xffff),
  ]);
  assert.deepEqual(
    decodeSmbios(table).memory.map((m) => m.sizeBytes),
    [2 ** 30, 2 ** 20, 65536 * 2 ** 20, 0, 0],
  );
});

test("a UUID of all ones or all zeros is no UUID", () => {
  for (const fill of [0, 0xff]) {
    const system = structure(1, [1, 2, 0, 3, ...zeros(16).map(() => fill)], "a", "b", "c");
    assert.equal(decodeSmbios(Uint8Array.from(system)).uuid, "");
  }
});

test("any bytes decode to something", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => typeof decodeSmbios(bytes).uuid === "string"));
});
