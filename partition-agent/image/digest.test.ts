import assert from "node:assert/strict";
import { test } from "node:test";
import { parseImageUrl, parseSidecar, sidecarUrl } from "./digest.ts";
import { victims } from "./eviction.ts";
import { decodeIndex, emptyIndex, encodeIndex } from "./image-index.ts";

const sha256 = "a".repeat(64);

test("a URL names its digest in the fragment, which is not sent", () => {
  assert.deepEqual(parseImageUrl(`https://images.example/a.tar?x=1#sha256=${sha256.toUpperCase()}`), {
    ok: true,
    value: { url: "https://images.example/a.tar?x=1", sha256 },
  });
  assert.deepEqual(parseImageUrl("file:///srv/a.tar"), {
    ok: true,
    value: { url: "file:///srv/a.tar", sha256: undefined },
  });
});

test("a URL that cannot be used is refused with what is wanted", () => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ["a.tar", /a URL is wanted, such as/],
    ["ftp://images.example/a.tar", /http:, https: or file: is wanted, not ftp:/],
    ["http://images.example/a.tar#sha256=12", /the fragment sha256= and 64 hex digits is wanted, not #sha256=12/],
    [`http://images.example/a.tar#${sha256}`, /the fragment sha256= and 64 hex digits is wanted/],
    ["http://user:hidden@images.example/a.tar", /^image URL at images.example: it must not hold credentials$/],
    [`http://images.example/${"a".repeat(3000)}`, /exceeds 2048/],
  ];
  for (const [url, expected] of rows) {
    const parsed = parseImageUrl(url);
    assert.match(parsed.ok ? "" : parsed.error, expected);
  }
});

test("the file beside an image lies at its path, before the query", () => {
  assert.equal(sidecarUrl("https://images.example/a.tar?x=1"), "https://images.example/a.tar.sha256?x=1");
  assert.deepEqual(parseSidecar(`${sha256}  a.tar\n`), { ok: true, value: sha256 });
  assert.deepEqual(parseSidecar("<html>\n"), {
    ok: false,
    error: "its first word is <html>, 64 hex digits are wanted",
  });
});

test("room is made by those that were not used for the longest time and are not in use", () => {
  const image = (name: string, usedAtMs: number, isInUse = false) => ({
    sha256: name,
    sizeBytes: 10,
    usedAtMs,
    isInUse,
  });
  const images = [image("new", 3), image("old", 1), image("older, in use", 0, true), image("middle", 2)];
  const room = (neededBytes: number, takenBytes = 0) => victims(images, { neededBytes, takenBytes, bytesMax: 50 });
  assert.deepEqual(room(10), { ok: true, value: [] });
  assert.deepEqual(room(11), { ok: true, value: ["old"] });
  assert.deepEqual(room(11, 10), { ok: true, value: ["old", "middle"] });
  assert.deepEqual(room(40), { ok: true, value: ["old", "middle", "new"] });
  assert.deepEqual(room(41), {
    ok: false,
    error: "41 bytes do not fit: the cache holds at most 50, and the rest of it is in use",
  });
});

test("an index comes back as it was written, and a broken one is refused", () => {
  const index = {
    ...emptyIndex(),
    objects: { [sha256]: { sizeBytes: 5, usedAtMs: 7 } },
    urls: { "file:///a": sha256 },
  };
  assert.deepEqual(decodeIndex(encodeIndex(index)), { ok: true, value: index });
  for (const broken of ["", "{", "[]", '{"version":2}', `{"version":1,"objects":{"x":{}},"urls":{}}`])
    assert.equal(decodeIndex(broken).ok, false, broken);
});
