import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { checkedOut, versionFacts } from "./version-facts.ts";

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

test("the commit is told in a further worktree, also when refs are packed", {
  skip: commit === undefined && "git is not there, or this is no checkout",
}, () => {
  const folder = mkdtempSync(path.join(tmpdir(), "holdfast-version-"));
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", ...args], {
      cwd: folder,
      encoding: "utf8",
    });
  try {
    git("init", "--quiet", "main");
    git("-C", "main", "commit", "--quiet", "--allow-empty", "--message", "first");
    git("-C", "main", "worktree", "add", "--quiet", "-b", "side", "../side");
    git("-C", "side", "commit", "--quiet", "--allow-empty", "--message", "second");
    const told = (of: string) => checkedOut(pathToFileURL(path.join(folder, of, ".git")));
    const wanted = ["main", "side"].map((of) => git("-C", of, "rev-parse", "HEAD").trim());
    assert.deepEqual([told("main"), told("side")], wanted);
    git("-C", "main", "pack-refs", "--all");
    assert.deepEqual([told("main"), told("side")], wanted);
    assert.equal(told("nowhere"), undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
