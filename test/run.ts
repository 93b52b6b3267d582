// Runs every *.test.ts of the tree with node:test, then the tests of central's services once more over the embedded store and over a
// real etcd, and ends with the line `N passed, N failed, N skipped`.
// Usage: npm test [-- PATH_PREFIX …]; with HOLDFAST_TEST_STORE=memory, embedded or etcd over that store alone
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { etcdMissing, startEtcd } from "#central/io/testing/etcd-process.ts";

const outside = new Set(["node_modules", "gen", ".git", ".cache", ".holdfast", "e2e"]);

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) return outside.has(entry.name) ? [] : testFiles(full);
    return entry.name.endsWith(".test.ts") ? [full] : [];
  });
}

/** Long walks about what happens before anything is stored: one store is enough. */
const ofOneStore = ["central/access/walk.test.ts", "test/fuzz"].map((p) => path.normalize(p));

/** A test of a central that leaves open what that stores in. */
function isOfAnyStore(file: string): boolean {
  if (ofOneStore.some((start) => file.startsWith(start))) return false;
  const text = readFileSync(file, "utf8");
  return /testing\/(central|machines)\.ts"/.test(text) && !/MemoryStore|LmdbStore|EtcdStore/.test(text);
}

const count = { passed: 0, failed: 0, skipped: 0 };
const isLeaf = (data: { details: { type?: string } }) => data.details.type !== "suite";

async function runAll(files: readonly string[], store: string): Promise<void> {
  process.env.HOLDFAST_TEST_STORE = store;
  const stream = run({ files: files.map((f) => path.resolve(f)), concurrency: 2, timeout: 170_000 })
    .on("test:pass", (data) => {
      if (isLeaf(data)) count[data.skip === undefined ? "passed" : "skipped"]++;
    })
    .on("test:fail", (data) => {
      if (isLeaf(data)) count.failed++;
    });
  const said = stream.compose(new spec());
  said.pipe(process.stdout, { end: false });
  await new Promise((resolve) => said.once("end", resolve));
}

async function overEtcd(files: readonly string[]): Promise<void> {
  const missing = etcdMissing();
  if (missing !== undefined) {
    console.log(`${files.length} files over etcd skipped: ${missing}`);
    count.skipped += files.length;
    return;
  }
  const folder = mkdtempSync(path.join(tmpdir(), "holdfast-test-etcd-"));
  const etcd = await startEtcd({ dataDir: folder, flush: "none" });
  try {
    await runAll(files, etcd.endpoints[0] ?? "");
  } finally {
    await etcd.stop();
    rmSync(folder, { recursive: true });
  }
}

const wanted = process.argv.slice(2);
const files = testFiles(".").filter((f) => wanted.length === 0 || wanted.some((w) => f.startsWith(path.normalize(w))));
const stored = files.filter(isOfAnyStore);
const only = process.env.HOLDFAST_TEST_STORE;
const isWanted = (store: string) => only === undefined || only === store;
if (isWanted("memory")) await runAll(files, "memory");
if (isWanted("embedded") && stored.length > 0) {
  console.log(`── ${stored.length} files over the embedded store`);
  await runAll(stored, "embedded");
}
if (isWanted("etcd") && stored.length > 0) {
  console.log(`── ${stored.length} files over etcd`);
  await overEtcd(stored);
}
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
process.exitCode = count.failed === 0 && files.length > 0 ? 0 : 1;
