import assert from "node:assert/strict";
import { test } from "node:test";
import { decoding, fromHex, hex, Reader, Writer } from "./bytes.ts";
import { ok } from "./result.ts";

test("every field comes back as it was written, also where the writer has to grow in the middle of it", () => {
  for (let capacity = 1; capacity < 40; capacity++) {
    const written = new Writer(capacity)
      .u8(0xff)
      .u16(0x1234)
      .u32(0xfedcba98)
      .u64(0xffff_0000_1234_5678n)
      .u16le(0x1234)
      .u32le(0xfedcba98)
      .put(Uint8Array.of(1, 2, 3))
      .zeros(2)
      .bytes();
    const r = new Reader(written);
    assert.deepEqual(
      [r.u8(), r.u16(), r.u32(), r.u64(), r.u16le(), r.u32le(), hex(r.bytes(3)), hex(r.rest())],
      [0xff, 0x1234, 0xfedcba98, 0xffff_0000_1234_5678n, 0x1234, 0xfedcba98, "010203", "0000"],
    );
  }
});

test("a reader never leaves its buffer: a decoder that tries gives a named error", () => {
  const read = (wanted: (r: Reader) => unknown) => decoding("thing", () => ok(wanted(new Reader(Uint8Array.of(1, 2)))));
  assert.deepEqual(
    read((r) => r.u16()),
    { ok: true, value: 0x102 },
  );
  assert.deepEqual(
    read((r) => r.u32()),
    { ok: false, error: "thing: 4 bytes wanted at 0, 2 left" },
  );
  assert.deepEqual(
    read((r) => r.bytes(-1)),
    { ok: false, error: "thing: -1 bytes wanted at 0, 2 left" },
  );
});

test("hex text goes there and back, and other text is refused", () => {
  assert.equal(hex(Uint8Array.of(0, 0xab)), "00ab");
  assert.deepEqual(fromHex("00AB"), { ok: true, value: Uint8Array.of(0, 0xab) });
  assert.equal(fromHex("0").ok, false);
});
