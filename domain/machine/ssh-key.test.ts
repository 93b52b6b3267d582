import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkSshKey } from "./ssh-key.ts";

const blob = (...fields: (string | number)[]): string => {
  const bytes = fields.map((f) => (typeof f === "number" ? "\u0001".repeat(f) : f));
  const length = (n: number) => String.fromCharCode((n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255);
  return btoa(bytes.map((b) => length(b.length) + b).join(""));
};
const ed25519 = blob("ssh-ed25519", 32);

describe("a key is taken when it is whole:", () => {
  const rows: readonly string[] = [
    `ssh-ed25519 ${ed25519}`,
    `ssh-ed25519 ${ed25519} me@home with words`,
    `ssh-ed25519\t${ed25519}`,
    `ssh-rsa ${blob("ssh-rsa", 3, 257)} me`,
    `ecdsa-sha2-nistp256 ${blob("ecdsa-sha2-nistp256", "nistp256", 65)}`,
    `sk-ssh-ed25519@openssh.com ${blob("sk-ssh-ed25519@openssh.com", 32, "ssh:")}`,
    `sk-ecdsa-sha2-nistp256@openssh.com ${blob("sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", 65, "ssh:")}`,
  ];
  for (const line of rows)
    test(line.slice(0, 40), () => assert.deepEqual(checkSshKey(` ${line} `), { ok: true, value: line }));
});

describe("a key is refused, and the text says why:", () => {
  const rows: readonly [string, string, RegExp][] = [
    ["nothing", "", /begins with none of ssh-ed25519, /],
    ["no type", ed25519, /begins with none of/],
    ["an old type", `ssh-dss ${blob("ssh-dss", 1)}`, /begins with none of/],
    ["options before it", `no-pty ssh-ed25519 ${ed25519}`, /begins with none of/],
    ["no blob", "ssh-ed25519", /not base64/],
    ["not base64", "ssh-ed25519 ****", /not base64/],
    ["a lost last character", `ssh-ed25519 ${ed25519.slice(0, -1)}`, /not base64, or is cut short/],
    ["a lost end", `ssh-ed25519 ${ed25519.slice(0, -8)}`, /cut short/],
    ["a whole part lost", `ssh-ed25519 ${blob("ssh-ed25519")}`, /has 2 parts, this one 1/],
    ["another type inside", `ssh-ed25519 ${blob("ssh-rsa", 3, 257)}`, /its inside is not a ssh-ed25519 key/],
    ["a length beyond all", `ssh-ed25519 ${btoa("\u00ff\u00ff\u00ff\u00ffx")}`, /damaged/],
    ["two keys", `ssh-ed25519 ${ed25519}\nssh-ed25519 ${ed25519}`, /one key a line/],
    ["a hidden character", `ssh-ed25519 ${ed25519} me\u0000`, /control characters/],
    ["a private key", "-----BEGIN OPENSSH PRIVATE KEY-----", /begins with none of/],
  ];
  for (const [name, line, why] of rows) {
    test(name, () => {
      const checked = checkSshKey(line);
      assert.match(checked.ok ? "taken" : checked.error, why);
    });
  }
});
