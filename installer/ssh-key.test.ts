import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { realServer } from "./io/real-server.ts";
import { privateKeyFile, publicKeyLine } from "./ssh-key.ts";

const hasSshKeygen = (() => {
  try {
    execFileSync("ssh-keygen", ["-?"], { stdio: "ignore" });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
  return true;
})();

test("OpenSSH reads the private key and finds the same public key", {
  skip: hasSshKeygen ? false : "ssh-keygen is not installed (apt-get install openssh-client)",
}, () => {
  const key = realServer().newHostKey();
  const folder = mkdtempSync(path.join(tmpdir(), "holdfast-key-"));
  try {
    const file = path.join(folder, "key");
    writeFileSync(file, privateKeyFile(key, "root@web-1", Uint8Array.of(1, 2, 3, 4)), { mode: 0o600 });
    assert.equal(
      execFileSync("ssh-keygen", ["-y", "-f", file], { encoding: "utf8" }),
      publicKeyLine(key, "root@web-1"),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
