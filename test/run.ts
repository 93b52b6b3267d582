// Runs every *.test.ts of the tree, those of central's services over each store, and ends with the line
// `N passed, N failed, N skipped`. All are bundled first: to load central's sources one by one takes longer than most of its tests.
// Usage: npm test [-- PATH_PREFIX …]; with HOLDFAST_TEST_STORE=memory, embedded or etcd over that store alone
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { bundledTogether } from "./bundled.ts";

const outside = new Set(["node_modules", "gen", ".git", ".cache", ".holdfast", "e2e"]);

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) return outside.has(entry.name) ? [] : testFiles(full);
    return entry.name.endsWith(".test.ts") ? [full] : [];
  });
}

const runner = "test/run-bundled-main.ts";
const wanted = process.argv.slice(2);
const files = testFiles(".").filter((f) => wanted.length === 0 || wanted.some((w) => f.startsWith(path.normalize(w))));
const tests = await bundledTogether([runner, ...files]);
const fileOf = (source: string) => path.join(tests.file, source.replace(/\.ts$/, ".js"));
const args = ["--enable-source-maps", "--max-semi-space-size=64", fileOf(runner), tests.file, ...files];
const run = spawn(process.execPath, args, { stdio: "inherit" });
process.once("SIGTERM", () => run.kill());
process.exitCode = await new Promise<number>((resolve) => run.once("close", (code) => resolve(code ?? 1)));
tests.remove();
