import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeTftp, encodeTftp, type TftpPacket } from "./packet.ts";

const u16 = fc.integer({ min: 0, max: 65_535 });
const text = (min: number, max: number) =>
  fc
    .array(fc.integer({ min: 1, max: 255 }), { minLength: min, maxLength: max })
    .map((codes) => String.fromCharCode(...codes));
const name = text(1, 12).filter((t) => t === t.toLowerCase());
const options = fc.array(fc.tuple(name, text(0, 12)), { maxLength: 16 }).map((pairs) => new Map(pairs));
const plain = { noNullPrototype: true };
const packet: fc.Arbitrary<TftpPacket> = fc.oneof(
  fc.record(
    { kind: fc.constantFrom("read" as const, "write" as const), file: text(0, 80), mode: text(0, 10), options },
    plain,
  ),
  fc.record({ kind: fc.constant("data" as const), block: u16, bytes: fc.uint8Array({ maxLength: 1500 }) }, plain),
  fc.record({ kind: fc.constant("ack" as const), block: u16 }, plain),
  fc.record({ kind: fc.constant("error" as const), code: u16, message: text(0, 80) }, plain),
  fc.record({ kind: fc.constant("oack" as const), options }, plain),
);

test("decoding what was encoded gives the same packet", () => {
  fc.assert(
    fc.property(packet, (p) => assert.deepEqual(decodeTftp(encodeTftp(p)), { ok: true, value: p })),
    { seed: 1, numRuns: 2000 },
  );
});

test("any bytes are decoded or refused by name", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (input) => {
      const decoded = decodeTftp(input);
      if (!decoded.ok) assert.match(decoded.error, /^tftp /);
    }),
    { seed: 2, numRuns: 2000 },
  );
});

const bytes = (wire: string) => Uint8Array.from(wire, (c) => c.charCodeAt(0));

test("a read request is read with its options, whose names have no case, and with padding after them", () => {
  const decoded = decodeTftp(bytes("\0\x01a.efi\0octet\0TSIZE\x000\0blksize\x001468\0\0\0\0"));
  assert.deepEqual(decoded, {
    ok: true,
    value: {
      kind: "read",
      file: "a.efi",
      mode: "octet",
      options: new Map([
        ["tsize", "0"],
        ["blksize", "1468"],
      ]),
    },
  });
});

test("what is wrong with a packet is named", () => {
  const error = (wire: string) => {
    const decoded = decodeTftp(bytes(wire));
    return decoded.ok ? "decoded" : decoded.error;
  };
  assert.equal(error("\0"), "tftp packet: 2 bytes wanted at 0, 1 left");
  assert.equal(error("\0\x09"), "tftp packet: opcode 9 is not 1 to 6");
  assert.equal(error("\0\x04\0"), "tftp packet: 2 bytes wanted at 2, 1 left");
  assert.equal(error("\0\x01file"), "tftp read request: a file and a mode that end with NUL are wanted");
  assert.equal(error(`\0\x01${"x".repeat(2000)}`), "tftp read request of 2000 bytes exceeds 1024");
  const many = Array.from({ length: 17 }, (_, i) => `o${i}\0v\0`).join("");
  assert.equal(error(`\0\x01f\0octet\0${many}`), "tftp packet: more than 16 options");
});
