import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { differences, type Fact, factsOf } from "./wire.ts";

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, "../..");
const table = JSON.parse(readFileSync(path.join(import.meta.dirname, "metalstack-v2.json"), "utf8")) as Fact;
/** The checker beside a checkout, if there is one. */
const second = path.resolve(root, "../shared/api/wire.mjs");
const buf = (...args: string[]) => run(path.join(root, "node_modules/.bin/buf"), args, { cwd: root });

/** What the command printed when it failed: that is the report that a reader of the test wants. */
async function complaints(command: Promise<unknown>): Promise<string> {
  try {
    await command;
    return "";
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    return stdout + stderr || String(error);
  }
}

describe("the public contract", () => {
  const work = mkdtempSync(path.join(tmpdir(), "holdfast-wire-"));
  const image = path.join(work, "image.binpb");
  before(() => buf("build", "-o", image));
  after(() => rmSync(work, { recursive: true }));

  test("is what clients of metalstack.{api,admin,infra}.v2 were built against", () => {
    assert.deepEqual(differences(table, factsOf(readFileSync(image), "metalstack.")), []);
  });

  test("covers 150 calls and 420 messages", () => {
    const facts = factsOf(readFileSync(image), "metalstack.") as Record<string, Record<string, object>>;
    const packages = Object.values(facts);
    const calls = packages.flatMap((p) => Object.values(p.services ?? {}).flatMap((s) => Object.keys(s)));
    assert.ok(calls.length >= 150, `${calls.length} calls`);
    assert.ok(packages.flatMap((p) => Object.keys(p.messages ?? {})).length >= 420);
  });

  test("is also what the checker beside a checkout accepts, if there is one", {
    skip: existsSync(second) ? false : "there is no checker beside this checkout",
  }, async () => {
    // By its real path: behind a link it would not take itself for the program that was started.
    const checker = realpathSync(second);
    assert.match((await run(process.execPath, [checker, "check", image], { cwd: root })).stdout, /^0 differences$/m);
  });

  test("has no lint", async () => {
    assert.equal(await complaints(buf("lint")), "");
  });

  test("breaks nothing that the baseline promised, neither in binary nor in JSON", async () => {
    assert.equal(await complaints(buf("breaking", "--against", "test/contract/baseline.binpb")), "");
  });
});

describe("the comparison of facts", () => {
  test("says where a number, a list or a rule differs, and what is missing", () => {
    const want = { M: { a: { n: 1, roles: ["X", "Y"] }, b: { n: 2, rules: { string: { uuid: true } } }, c: { n: 3 } } };
    const have = { M: { a: { n: 7, roles: ["Y"] }, b: { n: 2, rules: { string: {} } } }, more: {} };
    assert.deepEqual(differences(want, have), [
      "M / a / n: want 1, have 7",
      'M / a / roles: want ["X","Y"], have ["Y"]',
      "M / b / rules / string / uuid: want true, have undefined",
      "M / c: missing",
    ]);
  });

  test("ignores the order of lists and the prose of the table", () => {
    assert.deepEqual(differences({ roles: ["X", "Y"], means: "two roles" }, { roles: ["Y", "X"] }), []);
  });
});
