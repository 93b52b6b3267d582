import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { versionFacts } from "./version-facts.ts";

const commit = (() => {
  try {
    return execFileSync("git", ["rev-parse", "HEAD"], { cwd: import.meta.dirname, encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
})();

test("a central that runs from a checkout names its commit", {
  skip: commit === undefined && "this is no checkout",
}, () => {
  const { version, revision, gitSha1 } = versionFacts();
  assert.equal(gitSha1, commit);
  assert.equal(revision, `v${version}-g${commit?.slice(0, 8)}`);
});
