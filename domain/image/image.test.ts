import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ImageClassification as Class, ImageQuerySchema, ImageSchema } from "#gen/metalstack/api/v2/image_pb.ts";
import { parseVersionConstraint } from "./constraint.ts";
import { imageMatches } from "./query.ts";
import { latestImage, parseImageName, resolveImage } from "./version.ts";

const image = (id: string, classification: Class = Class.SUPPORTED) => create(ImageSchema, { id, classification });
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
  assert.equal(resolveImage(images, "debian-13")?.id, "debian-13.1.20260201");
  assert.equal(resolveImage(images, "debian-13.0")?.id, "debian-13.0.20260101");
  assert.equal(resolveImage(images, "debian-13.0.20260301")?.id, "debian-13.0.20260301");
  assert.equal(resolveImage(images, "debian-1"), undefined);
  assert.equal(resolveImage(images, "ubuntu-3"), undefined);
});

test("the latest is the newest of its classification", () => {
  assert.equal(latestImage(images, "debian")?.id, "debian-13.1.20260201");
  assert.equal(latestImage(images, "debian-13.0")?.id, "debian-13.0.20260101");
  assert.equal(latestImage(images, "debian", Class.PREVIEW)?.id, "debian-13.0.20260301");
  assert.equal(latestImage(images, "firewall-ubuntu")?.id, "firewall-ubuntu-3.0.20250101");
  assert.equal(latestImage(images, "windows"), undefined);
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
