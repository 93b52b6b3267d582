// Runs every *.test.ts of the tree with node:test and ends with the line `N passed, N failed, N skipped`.
// Usage: npm test [-- PATH_PREFIX …]
import { readdirSync } from "node:fs";
import path from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const outside = new Set(["node_modules", "gen", ".git", ".cache", ".holdfast", "e2e"]);

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) return outside.has(entry.name) ? [] : testFiles(full);
    return entry.name.endsWith(".test.ts") ? [full] : [];
  });
}

const wanted = process.argv.slice(2);
const files = testFiles(".").filter((f) => wanted.length === 0 || wanted.some((w) => f.startsWith(path.normalize(w))));
const count = { passed: 0, failed: 0, skipped: 0 };
const leaf = (data: { details: { type?: string } }) => data.details.type !== "suite";

const stream = run({ files: files.map((f) => path.resolve(f)), concurrency: 2, timeout: 170_000 })
  .on("test:pass", (data) => {
    if (leaf(data)) count[data.skip === undefined ? "passed" : "skipped"]++;
  })
  .on("test:fail", (data) => {
    if (leaf(data)) count.failed++;
  });
stream.compose(new spec()).pipe(process.stdout);
stream.once("end", () => {
  process.stdout.write("", () =>
    setImmediate(() => {
      console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
      process.exitCode = count.failed === 0 && files.length > 0 ? 0 : 1;
    }),
  );
});
