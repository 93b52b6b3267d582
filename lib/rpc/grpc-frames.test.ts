import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { FrameReader, framed } from "./grpc-frames.ts";

const bytesMax = 1_000;

/** All that is read of the bytes when they come in pieces of these lengths, over and over. */
function readIn(lengths: readonly number[], bytes: Uint8Array): { messages: Uint8Array[]; isEmpty: boolean } {
  const reader = new FrameReader(bytesMax);
  const messages: Uint8Array[] = [];
  for (let [at, i] = [0, 0]; at < bytes.length; i++) {
    const length = lengths[i % lengths.length]!;
    messages.push(...reader.take(bytes.subarray(at, at + length)));
    at += length;
  }
  return { messages, isEmpty: reader.isEmpty };
}

test("messages are what was framed, in whatever pieces the bytes come", () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 });
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), lengths, (sent, pieces) => {
      const { messages, isEmpty } = readIn(pieces, Buffer.concat(sent.map(framed)));
      assert.deepEqual(messages.map(Buffer.from), sent.map(Buffer.from));
      assert.ok(isEmpty);
    }),
  );
});

test("any bytes give messages, or are refused in gRPC's words", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        readIn([7], bytes);
      } catch (error) {
        assert.ok(error instanceof ConnectError, `${error}`);
      }
    }),
  );
});

test("bytes that end inside a message are not at an end", () => {
  const frame = framed(new Uint8Array(10));
  for (const length of [1, 4, 5, 14]) assert.equal(readIn([3], frame.subarray(0, length)).isEmpty, false, `${length}`);
});

test("a compressed message, and one that is too long, are refused before they are here", () => {
  const refused = (prefix: readonly number[], code: Code) =>
    assert.throws(
      () => new FrameReader(bytesMax).take(new Uint8Array(prefix)),
      (error) => ConnectError.from(error).code === code,
    );
  refused([1, 0, 0, 0, 1], Code.Internal);
  refused([0, 0, 0, 3, 233], Code.ResourceExhausted);
});
