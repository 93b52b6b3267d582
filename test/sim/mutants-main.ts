// npm run sim:mutants: breaks a copy of the product in named ways, one after the other, and counts the seeds that the simulator
// needs to notice. A way that it does not notice is a hole in what it looks at.
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import { commit } from "./commit.ts";
import { broken, type Mutant, mutants } from "./mutants.ts";

const top = path.resolve(import.meta.dirname, "../..");
const seedsMax = Number(process.argv[2] ?? 2000);
/** Part of the names of those that are tried; all without it. */
const wanted = process.argv[3] ?? "";
/** In one process: what a life leaves behind adds up. */
const seedsAtOnce = 250;
const parts = ["central", "domain", "gen", "installer", "lib", "partition-agent", "pxe-boot", "test"];

interface Found {
  readonly mutant: Mutant;
  /** Undefined: none of the seeds. */
  readonly seed: number | undefined;
  readonly how: string;
}

/** A copy of the sources with one place of one file replaced. */
function brokenCopy(mutant: Mutant): string {
  const { file } = mutant;
  const text = broken(mutant, readFileSync(path.join(top, file), "utf8"));
  const folder = mkdtempSync(path.join(tmpdir(), "holdfast-mutant-"));
  for (const part of parts) cpSync(path.join(top, part), path.join(folder, part), { recursive: true });
  for (const name of ["package.json", "tsconfig.json"]) cpSync(path.join(top, name), path.join(folder, name));
  symlinkSync(path.join(top, "node_modules"), path.join(folder, "node_modules"));
  writeFileSync(path.join(folder, file), text);
  return folder;
}

/** Runs seeds in the copy until one fails. */
async function tried(mutant: Mutant): Promise<Found> {
  const folder = brokenCopy(mutant);
  try {
    for (let first = 1; first <= seedsMax; first += seedsAtOnce) {
      const said = await ranSeeds(folder, first, Math.min(seedsMax, first + seedsAtOnce - 1));
      const [, seed, how = ""] = /^(\d+) (.*)$/m.exec(said) ?? [];
      if (seed !== undefined) return { mutant, seed: Number(seed), how };
    }
    return { mutant, seed: undefined, how: "not noticed" };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns what it said. @throws when it did not come to its end: that says nothing of the mutant */
async function ranSeeds(folder: string, first: number, last: number): Promise<string> {
  const args = ["--max-semi-space-size=64", "--import", "tsx", "test/sim/first-failure-main.ts", `${first}`, `${last}`];
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`seeds ${first} to ${last} in ${folder} ended with ${code}`);
  return said;
}

const waiting = mutants.filter(({ name }) => name.includes(wanted));
const found: Found[] = [];
console.log(`${waiting.length} mutants of ${commit()}`);
await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const result = await tried(next);
      found.push(result);
      console.log(`  ${String(result.seed ?? "-").padStart(5)}  ${next.name}\n         ${result.how.slice(0, 150)}`);
    }
  }),
);
console.log("\nseeds  mutant");
for (const { mutant, seed } of found.sort((a, b) => (a.seed ?? 1e9) - (b.seed ?? 1e9)))
  console.log(`${String(seed ?? "none").padStart(5)}  ${mutant.name}`);
const missed = found.filter((f) => f.seed === undefined).length;
console.log(`${found.length - missed} passed, ${missed} failed, 0 skipped`);
process.exitCode = missed === 0 ? 0 : 1;
