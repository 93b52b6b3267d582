import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { broken, mutants } from "./mutants.ts";

const top = path.resolve(import.meta.dirname, "../..");

test("every mutant still finds the place that it breaks", () => {
  for (const mutant of mutants) {
    const text = readFileSync(path.join(top, mutant.file), "utf8");
    assert.notEqual(broken(mutant, text), text, mutant.name);
  }
});
