// The FRU inventory of a virtual server (IPMI Platform Management FRU Information Storage Definition 1.0 §8–§12):
//   common header (8 octets) · board area · product area; every area is padded to 8 octets and ends with a checksum.

export interface FruFields {
  readonly manufacturer: string;
  readonly product: string;
  readonly partNumber: string;
  readonly serial: string;
}

const sizeBytes = 2048;

export function fruInventory(fields: FruFields): Uint8Array {
  const { manufacturer, product, partNumber, serial } = fields;
  // Board area: version, length, English, minutes since 1996 (3 octets, little-endian).
  const board = area([1, 0, 25, 0, 0, 0], [manufacturer, `${product} board`, `${serial}-B`, partNumber, ""]);
  const productArea = area([1, 0, 25], [manufacturer, product, partNumber, "1", serial, "", ""]);
  const header = checksummed([1, 0, 0, 1, 1 + board.length / 8, 0, 0]);
  const inventory = new Uint8Array(sizeBytes);
  inventory.set(Uint8Array.of(...header, ...board, ...productArea));
  return inventory;
}

function area(head: readonly number[], texts: readonly string[]): Uint8Array {
  const body = [...head];
  // Type and length octet: 8-bit ASCII in the upper two bits; c1 ends the fields.
  for (const text of texts) body.push(0xc0 | text.length, ...new TextEncoder().encode(text));
  body.push(0xc1);
  while (body.length % 8 !== 7) body.push(0);
  body[1] = (body.length + 1) / 8;
  return checksummed(body);
}

const checksummed = (bytes: readonly number[]): Uint8Array =>
  Uint8Array.of(...bytes, -bytes.reduce((sum, b) => sum + b, 0) & 0xff);
