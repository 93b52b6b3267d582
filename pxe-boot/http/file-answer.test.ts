import assert from "node:assert/strict";
import { test } from "node:test";
import { fileAnswer } from "./file-answer.ts";
import { requestedRange } from "./range.ts";

const file = { sizeBytes: 1000, etag: "e1" };
const ask = (headers: Record<string, string> = {}, method: "GET" | "HEAD" = "GET") =>
  fileAnswer({ method, headers }, file);

const ranges: readonly (readonly [string | undefined, unknown])[] = [
  [undefined, "whole"],
  ["bytes=0-99", { from: 0, to: 99 }],
  ["bytes=900-", { from: 900, to: 999 }],
  ["bytes=900-5000", { from: 900, to: 999 }],
  ["bytes=-10", { from: 990, to: 999 }],
  ["bytes=-5000", { from: 0, to: 999 }],
  ["bytes=-0", "unsatisfiable"],
  ["bytes=1000-", "unsatisfiable"],
  ["bytes=9-5", "whole"],
  ["bytes=0-1,5-6", "whole"],
  ["bytes=-", "whole"],
  ["lines=0-1", "whole"],
  ["bytes=99999999999999999999-", "whole"],
];
for (const [header, expected] of ranges) {
  test(`range ${header} of 1000 bytes is ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(requestedRange(header, 1000), expected);
  });
}

test("a file is sent with its length and its validator", () => {
  const { status, headers, body } = ask();
  assert.deepEqual(
    [status, headers["content-length"], headers.etag, body],
    [200, "1000", '"e1"', { from: 0, to: 999 }],
  );
});

test("HEAD tells the length and sends nothing, whatever range is asked for", () => {
  const { status, headers, body } = ask({ range: "bytes=0-1" }, "HEAD");
  assert.deepEqual([status, headers["content-length"], body], [200, "1000", undefined]);
});

test("a part is sent with its place in the whole", () => {
  const { status, headers, body } = ask({ range: "bytes=10-19" });
  assert.deepEqual([status, headers["content-length"], headers["content-range"]], [206, "10", "bytes 10-19/1000"]);
  assert.deepEqual(body, { from: 10, to: 19 });
});

test("a range beyond the end is refused with the size", () => {
  const { status, headers } = ask({ range: "bytes=2000-" });
  assert.deepEqual([status, headers["content-range"]], [416, "bytes */1000"]);
});

test("a part of a file that has changed since is not mixed with the old one: the whole is sent", () => {
  assert.equal(ask({ range: "bytes=10-", "if-range": '"e0"' }).status, 200);
  assert.equal(ask({ range: "bytes=10-", "if-range": '"e1"' }).status, 206);
});

test("who has the file already is told so", () => {
  assert.equal(ask({ "if-none-match": '"e0", W/"e1"' }).status, 304);
  assert.equal(ask({ "if-none-match": '"e0"' }).status, 200);
});

test("an empty file has no body", () => {
  const { status, headers, body } = fileAnswer({ method: "GET", headers: {} }, { sizeBytes: 0, etag: "e" });
  assert.deepEqual([status, headers["content-length"], body], [200, "0", undefined]);
});
