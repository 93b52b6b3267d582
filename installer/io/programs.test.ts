import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { script } from "./programs.ts";

const run = (commands: Parameters<typeof script>[0]) => execFileSync("sh", ["-c", script(commands)], { stdio: "pipe" });
const complaint = (commands: Parameters<typeof script>[0]): string => {
  try {
    run(commands);
    return "";
  } catch (error) {
    return String((error as { stderr: Buffer }).stderr);
  }
};

test("programs in a row get their words and their input as they are", () => {
  const odd = `it's "$HOME" \`id\` *\n;`;
  const equals = { program: "test", args: [odd, "=", odd] };
  const fed = { program: "grep", args: ["-q", "-F", "it's"], input: odd };
  assert.equal(complaint([equals, fed, { program: "sh", args: ["-c", "! read -r line"] }]), "");
  assert.match(complaint([equals, { program: "grep", args: ["-q", "other"], input: odd }]), /grep ended with 1/);
});

test("the first program that fails ends the row, and is named with what it complained of", () => {
  const said = complaint([
    { program: "true", args: [] },
    { program: "sh", args: ["-c", "echo no such disk >&2; exit 3"] },
    { program: "sh", args: ["-c", "echo went on >&2"] },
  ]);
  assert.equal(said, "no such disk\nsh ended with 3\n");
});
