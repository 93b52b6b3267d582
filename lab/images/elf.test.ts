import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { isElf, moduleInfo, stripped, wantedByProgram } from "./elf.ts";

const shell = new Uint8Array(readFileSync("/bin/sh"));

test("a program names its loader and libraries", () => {
  const wanted = wantedByProgram(shell);
  assert.ok(wanted.ok);
  assert.match(wanted.value.interpreter, /ld-linux/);
  assert.ok(wanted.value.libraries.includes("libc.so.6"));
});

test("a program without its symbols still runs", () => {
  const small = stripped(shell);
  assert.ok(small.ok && small.value.length < shell.length);
  const folder = mkdtempSync(path.join(tmpdir(), "holdfast-elf-"));
  try {
    const file = path.join(folder, "sh");
    writeFileSync(file, small.value, { mode: 0o755 });
    assert.equal(execFileSync(file, ["-c", "echo runs"], { encoding: "utf8" }), "runs\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("what is no ELF file, and a program that is no module, are named errors", () => {
  assert.deepEqual(wantedByProgram(new Uint8Array(3)), { ok: false, error: "ELF: not a 64-bit ELF file" });
  assert.deepEqual(moduleInfo(shell), { ok: false, error: "ELF: no .modinfo section, so not a kernel module" });
});

test("any header decodes to a result", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), fc.nat(4096), (header, length) => {
      const file = shell.slice(0, 64 + length);
      file.set(header.subarray(5), 5);
      // Sixteen-bit counts of entries bound the work; every table that leaves the file is an error.
      return isElf(file) && typeof wantedByProgram(file).ok === "boolean" && typeof moduleInfo(file).ok === "boolean";
    }),
    { numRuns: 50 },
  );
});
