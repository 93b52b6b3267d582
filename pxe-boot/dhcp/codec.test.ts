import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Ipv4 } from "#lib/net/ipv4.ts";
import { decodeDhcp, encodeDhcp } from "./codec.ts";
import type { DhcpMessage } from "./message.ts";
import { optionCode } from "./option-codes.ts";
import { must, requestOf } from "./testing.ts";

const bytes = (max: number) => fc.uint8Array({ maxLength: max });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const address = u32.map((n) => n as Ipv4);
const latin1 = (max: number) =>
  fc.array(fc.integer({ min: 1, max: 255 }), { maxLength: max }).map((codes) => String.fromCharCode(...codes));
const code = fc.integer({ min: 1, max: 254 }).filter((c) => c !== optionCode.overload);
const options = fc
  .array(fc.tuple(code, fc.oneof({ weight: 5, arbitrary: bytes(40) }, { weight: 1, arbitrary: bytes(700) })), {
    maxLength: 20,
  })
  .map((pairs) => new Map(pairs));

const message: fc.Arbitrary<DhcpMessage> = fc.record(
  {
    op: fc.constantFrom("request" as const, "reply" as const),
    hardwareType: fc.integer({ min: 0, max: 255 }),
    hardwareAddress: bytes(16),
    hops: fc.integer({ min: 0, max: 255 }),
    xid: u32,
    secs: fc.integer({ min: 0, max: 65_535 }),
    isBroadcastWanted: fc.boolean(),
    ciaddr: address,
    yiaddr: address,
    siaddr: address,
    giaddr: address,
    serverName: fc.oneof(fc.constant(""), latin1(64)),
    bootFile: fc.oneof(fc.constant(""), latin1(128)),
    options,
  },
  { noNullPrototype: true },
);

test("decoding what was encoded gives the same message, at any size limit", () => {
  fc.assert(
    fc.property(message, fc.integer({ min: 250, max: 1500 }), (m, sizeBytesMax) => {
      assert.deepEqual(decodeDhcp(encodeDhcp(m, sizeBytesMax)), { ok: true, value: m });
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test("any bytes are decoded or refused by name", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (input) => {
      const decoded = decodeDhcp(input);
      if (!decoded.ok) assert.match(decoded.error, /^dhcp /);
    }),
    { seed: 2, numRuns: 2000 },
  );
});

test("an option longer than 255 bytes is split and joined again (RFC 3396)", () => {
  const long = new Uint8Array(600).fill(7);
  const wire = encodeDhcp({ ...requestOf("discover"), options: new Map([[43, long]]) });
  assert.deepEqual([wire[240], wire[241], wire[242 + 255], wire[242 + 256]], [43, 255, 43, 255]);
  assert.deepEqual(must(decodeDhcp(wire)).options.get(43), long);
});

test("options that do not fit go to the file and sname fields (option 52)", () => {
  const m = {
    ...requestOf("discover"),
    options: new Map([
      [53, Uint8Array.of(1)],
      [60, new Uint8Array(200).fill(65)],
      [61, new Uint8Array(90).fill(66)],
      [62, new Uint8Array(50).fill(67)],
    ]),
  };
  const wire = encodeDhcp(m, 240 + 215);
  assert.equal(wire.length <= 240 + 215, true);
  assert.deepEqual(Array.from(wire.subarray(240, 243)), [52, 1, 3]);
  assert.deepEqual(must(decodeDhcp(wire)), m);
});

test("a message is padded to 300 bytes, which relays expect", () => {
  assert.equal(encodeDhcp(requestOf("discover")).length, 300);
});

test("what is not DHCP is refused with the reason", () => {
  const refused = (change: (wire: Uint8Array) => Uint8Array) => {
    const decoded = decodeDhcp(change(encodeDhcp(requestOf("discover"))));
    return decoded.ok ? "decoded" : decoded.error;
  };
  assert.equal(
    refused((w) => w.subarray(0, 100)),
    "dhcp message: 100 bytes are fewer than 240",
  );
  assert.equal(
    refused((w) => w.fill(3, 0, 1)),
    "dhcp message: op 3 is neither 1 nor 2",
  );
  assert.equal(
    refused((w) => w.fill(17, 2, 3)),
    "dhcp message: hardware address of 17 bytes exceeds 16",
  );
  assert.equal(
    refused((w) => w.fill(0, 236, 240)),
    "dhcp message: no magic cookie, so plain BOOTP",
  );
  assert.equal(
    refused((w) => w.subarray(0, 242)),
    "dhcp options: option 53 wants 1 bytes, 0 are left",
  );
});
