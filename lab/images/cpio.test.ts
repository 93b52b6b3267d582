import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { cpio, type Node } from "./cpio.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const tree: readonly (readonly [string, Node])[] = [
  ["bin", { kind: "folder", mode: 0o755 }],
  ["bin/sh", { kind: "link", target: "busybox" }],
  ["bin/busybox", { kind: "file", mode: 0o755, content: text("#!") }],
  ["dev", { kind: "folder", mode: 0o755 }],
  ["dev/console", { kind: "device", mode: 0o600, major: 5, minor: 1 }],
];
const bytes = (entries: readonly (readonly [string, Node])[]): Buffer => Buffer.concat(cpio(new Map(entries)));
const hasCpio = (() => {
  try {
    return execFileSync("cpio", ["--version"]).length > 0;
  } catch {
    return false;
  }
})();

test("equal trees give equal bytes, in whatever order they were put together", () => {
  assert.ok(bytes(tree).equals(bytes([...tree].reverse())));
});

test("every part begins at a multiple of four bytes", () => {
  assert.equal(bytes(tree).length % 4, 0);
});

test("cpio reads the archive and finds owners, modes, links and devices", {
  skip: hasCpio ? false : "cpio is not installed (apt-get install cpio)",
}, () => {
  const listed = execFileSync("cpio", ["-itvn", "--quiet"], {
    input: bytes(tree),
    env: { ...process.env, TZ: "UTC" },
    encoding: "utf8",
  });
  assert.deepEqual(
    listed
      .trim()
      .split("\n")
      .map((l) => l.replace(/\s+/g, " ")),
    [
      "drwxr-xr-x 1 0 0 0 Jan 1 1970 bin",
      "-rwxr-xr-x 1 0 0 2 Jan 1 1970 bin/busybox",
      "lrwxrwxrwx 1 0 0 7 Jan 1 1970 bin/sh -> busybox",
      "drwxr-xr-x 1 0 0 0 Jan 1 1970 dev",
      "crw------- 1 0 0 5, 1 Jan 1 1970 dev/console",
    ],
  );
});
