import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Writer } from "#lib/bytes.ts";
import { decodeLldp, neighbours, pcapFrames } from "./lldp.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const tlv = (w: Writer, kind: number, ...value: readonly number[]): Writer =>
  w.u16((kind << 9) | value.length).put(Uint8Array.from(value));

function frame(port = "Ethernet0"): Uint8Array {
  const w = new Writer()
    .put(Uint8Array.of(1, 0x80, 0xc2, 0, 0, 0x0e))
    .put(Uint8Array.of(2, 0, 0, 0, 0, 1))
    .u16(0x88cc);
  tlv(w, 1, 4, 2, 0, 0, 0, 0, 9);
  tlv(w, 2, 5, ...text(port));
  tlv(w, 3, 0, 120);
  tlv(w, 5, ...text("leaf1\0"));
  tlv(w, 127, 0, 0x12, 0x0f, 1);
  return tlv(w, 0).bytes();
}

function pcap(...frames: readonly Uint8Array[]): Uint8Array {
  const w = new Writer().u32(0xd4c3b2a1).zeros(20);
  for (const f of frames) w.zeros(8).u32le(f.length).u32le(f.length).put(f);
  return w.bytes();
}

test("a frame tells the switch's chassis, name and port", () => {
  assert.deepEqual(decodeLldp(frame()), {
    ok: true,
    value: { mac: "02:00:00:00:00:09", port: "Ethernet0", portDescription: "", systemName: "leaf1" },
  });
});

test("a capture names each neighbour once, however often it spoke", () => {
  assert.deepEqual(
    neighbours(pcap(frame(), frame(), frame("Ethernet4"))).map((n) => n.port),
    ["Ethernet0", "Ethernet4"],
  );
});

test("a frame that tcpdump has not written to its end is left out", () => {
  const file = pcap(frame(), frame("Ethernet4"));
  const frames = pcapFrames(file.subarray(0, file.length - 3));
  assert.ok(frames.ok);
  assert.equal(frames.value.length, 1);
});

test("a frame of another type and one without a port are named errors", () => {
  const other = frame().slice();
  other[12] = 8;
  assert.deepEqual(decodeLldp(other), { ok: false, error: "LLDP frame: Ethernet type 0x8cc is not 0x88cc" });
  assert.deepEqual(decodeLldp(frame().subarray(0, 14)), { ok: false, error: "LLDP frame: no port id" });
});

test("any bytes decode to a result", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      (bytes) => typeof decodeLldp(bytes).ok === "boolean" && Array.isArray(neighbours(bytes)),
    ),
  );
  fc.assert(
    fc.property(fc.nat(200), fc.nat(255), (at, byte) => {
      const bent = pcap(frame(), frame()).slice();
      bent[at % bent.length] = byte;
      return Array.isArray(neighbours(bent));
    }),
  );
});
