import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { fileName } from "../files/file-name.ts";
import { FolderSource } from "./folder-source.ts";

const base = mkdtempSync(path.join(tmpdir(), "holdfast-folder-"));
after(() => rmSync(base, { recursive: true }));
const root = path.join(base, "root");
mkdirSync(path.join(root, "arm64"), { recursive: true });
writeFileSync(path.join(base, "secret"), "secret");
writeFileSync(path.join(root, "arm64", "a.efi"), "content");
writeFileSync(path.join(root, "empty"), "");
symlinkSync("../secret", path.join(root, "way-out"));
symlinkSync("arm64/a.efi", path.join(root, "inside"));
const source = new FolderSource(root);

const content = async (name: string) => {
  const file = await source.open(name);
  if (!file) return undefined;
  const bytes = Buffer.alloc(1000);
  const count = await file.read(0, bytes);
  await file.close();
  return bytes.toString("utf8", 0, count);
};

test("a folder gives the files below it, through links too, and nothing outside", async () => {
  assert.equal(await content("arm64/a.efi"), "content");
  assert.equal(await content("inside"), "content");
  for (const name of ["way-out", "../secret", "missing", "arm64", "arm64/a.efi/x", "x".repeat(300)])
    assert.equal(await content(name), undefined, name);
});

test("an empty file is one that is still being written", async () => {
  assert.equal(await content("empty"), undefined);
});

test("who has opened a file reads that content to its end, though another takes its name", async () => {
  writeFileSync(path.join(root, "f"), "old");
  const file = await source.open("f");
  writeFileSync(path.join(root, "f.new"), "newer");
  renameSync(path.join(root, "f.new"), path.join(root, "f"));
  const bytes = Buffer.alloc(100);
  assert.equal(bytes.toString("utf8", 0, await file!.read(0, bytes)), "old");
  const other = await source.open("f");
  assert.notEqual(other!.etag, file!.etag);
  await file!.close();
  await other!.close();
});

test("a file that shrinks while it is read is an error, not a short file", async () => {
  writeFileSync(path.join(root, "g"), "0123456789");
  const file = await source.open("g");
  truncateSync(path.join(root, "g"), 4);
  await assert.rejects(file!.read(0, new Uint8Array(10)), /shrank below 10 bytes/);
  await file!.close();
});

test("names are made safe, or refused with the reason", () => {
  const named = (asked: string) => {
    const name = fileName(asked);
    return name.ok ? name.value : name.error;
  };
  assert.equal(named("\\EFI\\boot\\x.efi"), "EFI/boot/x.efi");
  assert.equal(named("///a//./b"), "a/b");
  assert.equal(named("a/../b"), "file name a/../b: .. is not served");
  assert.equal(named("..\\b"), "file name ..\\b: .. is not served");
  assert.equal(named(".hidden"), "file name .hidden: .hidden is not served");
  assert.equal(named("/"), "file name is empty");
  assert.equal(named("a\0b"), "file name with control characters");
  assert.equal(named("x".repeat(256)), "file name of 256 characters exceeds 255");
});
