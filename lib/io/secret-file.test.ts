import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { secretFile } from "./secret-file.ts";

test("a secret is for its owner's eyes only, whatever lay there before, and reads back", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "secret-"));
  try {
    const at = path.join(folder, "deeper", "token");
    const file = secretFile(at);
    assert.equal(await file.read(), undefined);
    await file.write("first");
    writeFileSync(`${at}.new`, "left over");
    chmodSync(`${at}.new`, 0o644);
    await file.write("second");
    assert.equal(await file.read(), "second");
    assert.equal(statSync(at).mode & 0o777, 0o600);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
