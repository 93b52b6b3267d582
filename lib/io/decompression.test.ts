import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { compressionGzip } from "@connectrpc/connect-node";
import { decompressingInTurn, longAtOnceMax } from "./decompression.ts";

const bytesMax = 1 << 20;
const zeros = (bytes: number) => gzipSync(new Uint8Array(bytes));

test("messages come out whole, short or long, and those above the limit are refused", async () => {
  const [gzip] = decompressingInTurn([compressionGzip]);
  for (const bytes of [0, 1, 65_536, 65_537, bytesMax])
    assert.equal((await gzip!.decompress(zeros(bytes), bytesMax)).length, bytes);
  const refused = (code: Code) => (error: unknown) => error instanceof ConnectError && error.code === code;
  await assert.rejects(gzip!.decompress(zeros(bytesMax + 1), bytesMax), refused(Code.ResourceExhausted));
  await assert.rejects(gzip!.decompress(zeros(1_000), 999), refused(Code.ResourceExhausted));
  await assert.rejects(gzip!.decompress(Buffer.from("rubbish"), bytesMax), refused(Code.InvalidArgument));
});

test("so many become long at once and no more, of all encodings together, while short ones wait for nobody", async () => {
  const [first, second] = decompressingInTurn([held("a"), held("b")]);
  const calls = Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? first! : second!).decompress(long, bytesMax));
  const ends = Promise.allSettled(calls);
  await turn();
  assert.equal(underway.length, longAtOnceMax);
  assert.equal((await first!.decompress(short, bytesMax)).length, 1);
  for (let ended = 0; ended < calls.length; ended++) {
    assert.equal(underway.length, Math.min(longAtOnceMax, calls.length - ended));
    const end = underway.shift();
    // Who fails gives its turn on as well.
    if (ended === 3) end?.(new Error("no good"));
    else end?.();
    await turn();
  }
  assert.equal((await ends).filter(({ status }) => status === "rejected").length, 1);
});

const [short, long] = [new Uint8Array(1), new Uint8Array(2)];
const underway: ((error?: Error) => void)[] = [];
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** One whose long messages become long when they are told to. */
const held = (name: string): Compression => ({
  name,
  compress: async (bytes) => new Uint8Array(bytes),
  async decompress(bytes, max) {
    if (bytes === short) return new Uint8Array(1);
    if (max < bytesMax) throw new ConnectError("longer than that", Code.ResourceExhausted);
    return await new Promise((resolve, reject) => {
      underway.push((error) => (error ? reject(error) : resolve(new Uint8Array(bytesMax))));
    });
  },
});
