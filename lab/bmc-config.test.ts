import assert from "node:assert/strict";
import { test } from "node:test";
import { systemGuid } from "./bmc-config.ts";
import { fruInventory } from "./fru.ts";
import { lldpFrame } from "./lldp.ts";
import { plainText } from "./machine.ts";
import { hasHardwareVirtualisation } from "./qemu.ts";
import { shutdownReason } from "./qmp.ts";

test("the BMC sends the machine's UUID in SMBIOS order", () => {
  assert.equal(systemGuid("00112233-4455-6677-8899-aabbccddeeff"), "33221100554477668899aabbccddeeff");
});

test("every area of the FRU inventory adds up to zero", () => {
  const fru = fruInventory({ manufacturer: "Lab", product: "Server", partNumber: "P-1", serial: "S-1" });
  const sum = (from: number, length: number) => fru.subarray(from, from + length).reduce((s, b) => s + b, 0) & 255;
  const board = fru[3]! * 8;
  const product = fru[4]! * 8;
  assert.deepEqual([sum(0, 8), sum(board, fru[board + 1]! * 8), sum(product, fru[product + 1]! * 8)], [0, 0, 0]);
});

test("an LLDP frame names switch, port and time to live", () => {
  const chassis = Uint8Array.of(2, 0, 0, 0, 0, 1);
  const frame = Buffer.from(lldpFrame({ chassis, port: "tap1", systemName: "leaf1", ttlSeconds: 10 }));
  assert.equal(frame.subarray(0, 14).toString("hex"), "0180c200000e02000000000188cc");
  assert.equal(frame.subarray(14, 23).toString("hex"), "020704020000000001");
  assert.equal(frame.subarray(23, 30).toString("latin1"), "\x04\x05\x05tap1");
  assert.equal(frame.subarray(30, 34).toString("hex"), "0602000a");
  assert(frame.length >= 60);
});

test("a kvm device without the processor's virtualisation is not used", () => {
  assert.equal(hasHardwareVirtualisation("flags\t\t: fpu vme sse2\n", true), false);
  assert.equal(hasHardwareVirtualisation("flags\t\t: fpu svm sse2\n", true), true);
  assert.equal(hasHardwareVirtualisation("flags\t\t: fpu vmx\n", false), false);
});

test("QEMU's last words tell a reset from a shutdown", () => {
  assert.equal(
    shutdownReason('{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}'),
    "guest-reset",
  );
  assert.equal(shutdownReason('{"return": {}}'), undefined);
  assert.equal(shutdownReason('"SHUTDOWN" {'), undefined);
});

test("a serial line is read without its terminal controls", () => {
  assert.equal(plainText("\x1b[2J\x1b[01;01Hnet0: up\x1b[=3h \r"), "net0: up");
  assert.equal(plainText("\x1bc\x1b[?7l\x1b[2JHOLDFAST 3.96 init kernel"), "HOLDFAST 3.96 init kernel");
});
