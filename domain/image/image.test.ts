import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ImageClassification as Class, ImageQuerySchema, ImageSchema } from "#gen/metalstack/api/v2/image_pb.ts";
import { parseVersionConstraint } from "./constraint.ts";
import { imageMatches } from "./query.ts";
import { isExpired, latestImage, parseImageName, resolveImage } from "./version.ts";

const image = (id: string, classification: Class = Class.SUPPORTED, expiresAtMs?: number) =>
  create(ImageSchema, {
    id,
    classification,
    ...(expiresAtMs !== undefined && { expiresAt: timestampFromMs(expiresAtMs) }),
  });
const nowMs = 1000;
const images = [
  image("debian-12.0.20250101"),
  image("debian-13.0.20260101"),
  image("debian-13.0.20260301", Class.PREVIEW),
  image("debian-13.1.20260201"),
  image("debian-13.0.9"),
  image("firewall-ubuntu-3.0.20250101"),
];

test("a name ends in a version of one to three numbers", () => {
  assert.deepEqual(parseImageName("firewall-ubuntu-3.0.1"), {
    ok: true,
    value: { os: "firewall-ubuntu", version: [3, 0, 1] },
  });
  for (const bad of ["debian", "debian-", "-12", "debian-12.0.1.2", "debian-12.x", "Debian-12", "debian 12"]) {
    assert.equal(parseImageName(bad).ok, false, bad);
  }
});

test("a short form means the newest supported image that begins so, a full id exactly that image", () => {
  assert.equal(resolveImage(images, "debian-13", nowMs)?.id, "debian-13.1.20260201");
  assert.equal(resolveImage(images, "debian-13.0", nowMs)?.id, "debian-13.0.20260101");
  assert.equal(resolveImage(images, "debian-13.0.20260301", nowMs)?.id, "debian-13.0.20260301");
  assert.equal(resolveImage(images, "debian-1", nowMs), undefined);
  assert.equal(resolveImage(images, "ubuntu-3", nowMs), undefined);
});

test("the latest is the newest of its classification", () => {
  assert.equal(latestImage(images, "debian", nowMs)?.id, "debian-13.1.20260201");
  assert.equal(latestImage(images, "debian-13.0", nowMs)?.id, "debian-13.0.20260101");
  assert.equal(latestImage(images, "debian", nowMs, Class.PREVIEW)?.id, "debian-13.0.20260301");
  assert.equal(latestImage(images, "firewall-ubuntu", nowMs)?.id, "firewall-ubuntu-3.0.20250101");
  assert.equal(latestImage(images, "windows", nowMs), undefined);
});

test("an image has expired from the millisecond that it names, and one that names none never does", () => {
  const expiring = image("debian-14.0.1", Class.SUPPORTED, 1000);
  assert.deepEqual(
    [isExpired(expiring, 999), isExpired(expiring, 1000), isExpired(expiring, 1001)],
    [false, true, true],
  );
  assert.equal(isExpired(image("debian-14.0.1"), Number.MAX_SAFE_INTEGER), false);
});

test("an expired image is nobody's newest, and is found by its whole id alone", () => {
  const line = [image("debian-14.0.1"), image("debian-14.0.2", Class.SUPPORTED, 1000)];
  assert.equal(resolveImage(line, "debian-14", 999)?.id, "debian-14.0.2");
  assert.equal(resolveImage(line, "debian-14", 1000)?.id, "debian-14.0.1");
  assert.equal(resolveImage(line, "debian-14.0.2", 1000)?.id, "debian-14.0.2");
  assert.equal(latestImage(line, "debian", 999)?.id, "debian-14.0.2");
  assert.equal(latestImage(line, "debian-14", 1000)?.id, "debian-14.0.1");
});

test("a version constraint takes what its comparisons say", () => {
  const takes = (constraint: string, version: number[]) => {
    const parsed = parseVersionConstraint(constraint);
    assert.ok(parsed.ok, constraint);
    return parsed.value(version);
  };
  const table: [string, number[], boolean][] = [
    ["*", [1, 2, 3], true],
    [">= 12", [12, 0, 1], true],
    [">=12.1", [12, 0, 1], false],
    [">= 10.20201019, < 12", [11], true],
    [">= 10.20201019 < 12", [12], false],
    ["12", [12, 5, 1], true],
    ["= 12.5", [12, 4], false],
    ["!= 12.0.0", [12, 0, 0], false],
    ["~ 12.1", [12, 1, 9], true],
    ["~ 12.1", [12, 2, 0], false],
    ["^ 12.1", [12, 9], true],
    ["^ 12.1", [13, 0], false],
    ["> 1", [1, 0, 1], true],
    ["<= 1.2", [1, 2, 0], true],
  ];
  for (const [constraint, version, expected] of table) assert.equal(takes(constraint, version), expected, constraint);
  for (const bad of ["", ">=", "a", ">> 1", "1.2.3.4", ">= 1 b"])
    assert.equal(parseVersionConstraint(bad).ok, false, bad);
});

test("a query's os and version are read from the id", () => {
  const found = (q: object) => images.filter((i) => imageMatches(i, create(ImageQuerySchema, q))).map((i) => i.id);
  assert.equal(found({}).length, 6);
  assert.deepEqual(found({ os: "firewall-ubuntu" }), ["firewall-ubuntu-3.0.20250101"]);
  assert.deepEqual(found({ os: "debian", version: "13.0.9" }), ["debian-13.0.9"]);
  assert.deepEqual(found({ classification: Class.PREVIEW }), ["debian-13.0.20260301"]);
});
