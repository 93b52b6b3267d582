import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fromHex, hex } from "#lib/bytes.ts";
import { nodeBmcCrypto } from "../io/bmc-crypto.ts";
import { suite3, suite17 } from "./cipher-suite.ts";
import { getBootFlags, getDeviceId, setBootFlags } from "./commands.ts";
import { completionText, rmcpStatusText } from "./completion-code.ts";
import { isUnset, uuidOfGuid } from "./guid.ts";
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from "./ipmi-message.ts";
import {
  decodeOpenSessionRequest,
  decodeOpenSessionResponse,
  encodeOpenSessionRequest,
  encodeOpenSessionResponse,
} from "./open-session.ts";
import { quirksOf } from "./quirks.ts";
import {
  decodeRakp1,
  decodeRakp2,
  decodeRakp3,
  decodeRakp4,
  encodeRakp1,
  encodeRakp2,
  encodeRakp3,
  encodeRakp4,
} from "./rakp.ts";
import { accepted, emptyWindow, type ReplayWindow } from "./replay-window.ts";
import { decodePacket, encodeHandshakePacket, encodePlain, payloadTypes } from "./rmcp.ts";
import { seal, unseal } from "./sealed-message.ts";
import { sessionKeys } from "./session-keys.ts";
import { parseBmcAddress } from "./transport.ts";

const u8 = fc.nat(255);
const u32 = fc.nat(0xffffffff);
const bytes = (n: number) => fc.uint8Array({ minLength: n, maxLength: n });
const upTo = (n: number) => fc.uint8Array({ maxLength: n });
const ofHex = (text: string): Uint8Array => {
  const decoded = fromHex(text.replaceAll(" ", ""));
  return decoded.ok ? decoded.value : assert.fail(decoded.error);
};
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, v: unknown) => (v instanceof Uint8Array ? hex(v) : v)));
const same = (actual: unknown, expected: unknown): void => assert.deepEqual(plain(actual), plain(expected));

test("a Get Channel Authentication Capabilities request is the packet that the specification draws", () => {
  const message = encodeRequest({ netFn: 6, command: 0x38, sequence: 0, content: Uint8Array.of(0x8e, 4) });
  assert.equal(hex(encodePlain(message)), "0600ff07000000000000000000092018c88100388e04b5");
});

test("messages come back as they were sent", () => {
  const request = fc.record({ netFn: fc.nat(63), command: u8, sequence: fc.nat(63), content: upTo(64) });
  fc.assert(fc.property(request, (r) => same(decodeRequest(encodeRequest(r)), { ok: true, value: r })));
  fc.assert(
    fc.property(request, u8, (r, completionCode) => {
      const response = { ...r, completionCode };
      same(decodeResponse(encodeResponse(response)), { ok: true, value: response });
    }),
  );
});

test("a message with one wrong byte is refused", () => {
  const message = encodeRequest({ netFn: 6, command: 1, sequence: 5, content: Uint8Array.of(1, 2, 3) });
  for (let i = 0; i < message.length; i++) {
    const wrong = message.slice();
    wrong[i] = (wrong[i] as number) ^ 0x10;
    assert.equal(decodeRequest(wrong).ok, false);
  }
});

test("every step of the handshake comes back as it was sent", () => {
  const algorithms = { authentication: fc.nat(63), integrity: fc.nat(63), confidentiality: fc.nat(63) };
  const head = { tag: u8, consoleId: u32 };
  const good = fc.constant(0 as const);
  const round = <T>(shape: fc.Arbitrary<T>, encode: (v: T) => Uint8Array, decode: (b: Uint8Array) => unknown): void =>
    fc.assert(fc.property(shape, (v) => same(decode(encode(v)), { ok: true, value: v })));
  const privilege = fc.nat(15);
  round(fc.record({ ...head, privilege, ...algorithms }), encodeOpenSessionRequest, decodeOpenSessionRequest);
  round(
    fc.record({ ...head, privilege, ...algorithms, status: good, bmcId: u32 }),
    encodeOpenSessionResponse,
    decodeOpenSessionResponse,
  );
  const rakp1 = fc.record({ tag: u8, bmcId: u32, consoleRandom: bytes(16), role: u8, user: upTo(16) });
  round(rakp1, encodeRakp1, decodeRakp1);
  const rakp2 = fc.record({ ...head, status: good, bmcRandom: bytes(16), guid: bytes(16), code: upTo(32) });
  round(rakp2, encodeRakp2, decodeRakp2);
  round(fc.record({ tag: u8, status: u8, bmcId: u32, code: upTo(32) }), encodeRakp3, decodeRakp3);
  round(fc.record({ ...head, status: good, code: upTo(16) }), encodeRakp4, decodeRakp4);
});

test("a refusal needs no more than its status", () => {
  same(decodeOpenSessionResponse(ofHex("00 01")), { ok: true, value: { tag: 0, status: 1 } });
  same(decodeRakp2(ofHex("07 0d")), { ok: true, value: { tag: 7, status: 13 } });
  same(decodeRakp4(ofHex("07 0f 00 00")), { ok: true, value: { tag: 7, status: 15 } });
});

for (const suite of [suite3, suite17]) {
  const keys = sessionKeys(nodeBmcCrypto, {
    suite,
    password: new Uint8Array(20).fill(0x61),
    consoleId: 1,
    bmcId: 2,
    consoleRandom: new Uint8Array(16).fill(3),
    bmcRandom: new Uint8Array(16).fill(4),
    guid: new Uint8Array(16).fill(5),
    role: 0x14,
    user: new TextEncoder().encode("admin"),
  });
  const header = { payloadType: 0, sessionId: 7, sequence: 9, iv: new Uint8Array(16).fill(6) };
  const opened = (datagram: Uint8Array) => {
    const packet = decodePacket(datagram);
    if (!packet.ok) return packet;
    return packet.value.kind === "session" ? unseal(nodeBmcCrypto, keys, packet.value) : assert.fail("a session's");
  };

  test(`suite ${suite.id}: what was sealed is opened again, at every length`, () => {
    for (let length = 1; length < 100; length++) {
      const message = Uint8Array.from({ length }, (_, i) => i);
      const datagram = seal(nodeBmcCrypto, keys, header, message);
      assert.equal((datagram.length - 4 - suite.checkBytes) % 4, 0);
      same(opened(datagram), { ok: true, value: message });
    }
  });

  test(`suite ${suite.id}: a sealed packet with one wrong bit is refused`, () => {
    const datagram = seal(nodeBmcCrypto, keys, header, new Uint8Array(20));
    for (let bit = 32; bit < datagram.length * 8; bit++) {
      const wrong = datagram.slice();
      wrong[bit >> 3] = (wrong[bit >> 3] as number) ^ (1 << (bit & 7));
      const packet = decodePacket(wrong);
      if (packet.ok && packet.value.kind === "session") assert.equal(opened(wrong).ok, false, `bit ${bit}`);
    }
  });
}

test("a packet of another kind is refused by name", () => {
  const refusals: readonly (readonly [string, RegExp])[] = [
    ["", /4 bytes wanted at 0, 0 left/],
    ["05 00 ff 07 00", /RMCP version 5/],
    ["06 00 ff 06 00", /RMCP class 6/],
    ["06 00 ff 07 02", /authentication type 2/],
    ["06 00 ff 07 06 00 00 00 00 00 00 00 00 00 10 00 01", /16 bytes wanted at 16, 1 left/],
    ["00".repeat(1025), /packet of 1025 bytes exceeds 1024/],
  ];
  for (const [packet, expected] of refusals) {
    const decoded = decodePacket(ofHex(packet));
    assert.match(decoded.ok ? "" : decoded.error, expected);
  }
});

test("handshake packets carry neither session id nor sequence", () => {
  const packet = decodePacket(encodeHandshakePacket(payloadTypes.rakp1, Uint8Array.of(1, 2)));
  assert.ok(packet.ok && packet.value.kind === "session");
  same(
    { ...packet.value, body: 0 },
    {
      kind: "session",
      payloadType: 0x12,
      isEncrypted: false,
      isAuthenticated: false,
      sessionId: 0,
      sequence: 0,
      payload: "0102",
      body: 0,
      trailer: "",
    },
  );
});

test("a sequence number is accepted once, and late by up to 31", () => {
  const feed = (...sequence: readonly number[]) => {
    let window: ReplayWindow = emptyWindow;
    return sequence.map((s) => {
      const next = accepted(window, s);
      window = next ?? window;
      return next !== undefined;
    });
  };
  assert.deepEqual(feed(0, 1, 1, 3, 2, 2, 3), [false, true, false, true, true, false, false]);
  assert.deepEqual(feed(40, 9, 8, 39, 9), [true, true, false, true, false]);
  assert.deepEqual(feed(1, 0xffffffff, 0xfffffffe, 1), [true, true, true, false]);
  assert.deepEqual(feed(5, 36, 5, 37, 6, 7), [true, true, false, true, true, true]);
});

test("a GUID reads the same in every order that BMCs use", () => {
  const uuid = "12345678-9abc-4def-8123-456789abcdef";
  assert.equal(uuidOfGuid(ofHex("78563412 bc9a ef4d 8123 456789abcdef"), "smbios"), uuid);
  assert.equal(uuidOfGuid(ofHex("12345678 9abc 4def 8123 456789abcdef"), "rfc4122"), uuid);
  assert.equal(uuidOfGuid(ofHex("efcdab896745 2381 ef4d bc9a 78563412"), "reversed"), uuid);
  assert.ok(isUnset(new Uint8Array(16).fill(0xff)));
  assert.ok(!isUnset(ofHex(`${"00".repeat(15)}01`)));
});

test("a device id is read with its BCD revision", () => {
  const decoded = getDeviceId.decode(ofHex("20 81 82 17 02 9f a2 02 00 34 12"));
  same(decoded, {
    ok: true,
    value: { firmware: "2.17", isUpdating: true, ipmiVersion: "2.0", manufacturerId: 674, productId: 0x1234 },
  });
});

test("an answer that is too short is an error that names the command", () => {
  const decoded = getBootFlags.decode(Uint8Array.of(1, 5));
  assert.match(decoded.ok ? "" : decoded.error, /^Get System Boot Options: 1 bytes wanted at 2, 0 left$/);
});

test("a boot device that this client never sets reads as other", () => {
  const decoded = getBootFlags.decode(ofHex("01 05 80 14 00 00 00"));
  same(decoded, { ok: true, value: { isValid: true, persistent: false, efi: false, device: "other" } });
  assert.equal(hex(setBootFlags({ device: "none", persistent: false, efi: false }).content), "058000000000");
});

test("codes are told in words, a command's own before the general ones", () => {
  assert.equal(completionText(0xc0), "node busy");
  assert.equal(completionText(0x80, { 128: "parameter not supported" }), "parameter not supported");
  assert.match(completionText(0x81), /only its maker knows/);
  assert.match(rmcpStatusText(1), /session table is full/);
  assert.equal(rmcpStatusText(0x77), "status 119");
});

test("a BMC's address has a port, 623 when it is left out", () => {
  same(parseBmcAddress("10.0.0.1"), { ok: true, value: { host: "10.0.0.1", port: 623 } });
  same(parseBmcAddress("[fd00::1]:6230"), { ok: true, value: { host: "fd00::1", port: 6230 } });
  same(parseBmcAddress("bmc1.example:624"), { ok: true, value: { host: "bmc1.example", port: 624 } });
  for (const wrong of ["", "10.0.0.1:0", "10.0.0.1:65536", "fd00::1", "http://bmc1", "a b"])
    assert.match(JSON.stringify(parseBmcAddress(wrong)), /a host and perhaps a port are wanted/);
});

test("quirks are those of the product, on top of the usual ones", () => {
  assert.equal(quirksOf({ manufacturerId: 674, productId: 1 }).ignoresValidFlag, false);
  assert.equal(quirksOf({ manufacturerId: 0x1291, productId: 0x0f02 }).ignoresValidFlag, true);
  assert.equal(quirksOf({ manufacturerId: 0x1291, productId: 1 }).ignoresValidFlag, false);
});
