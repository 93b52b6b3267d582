// Runs test files that `run.ts` has bundled, with node:test, then those of central's services once more over the embedded store and over
// a real etcd. Arguments: the folder of the bundled ones, and the sources, as they are called below it.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { etcdMissing, startEtcd } from "#central/io/testing/etcd-process.ts";

/** Long walks about what happens before anything is stored: one store is enough. */
const ofOneStore = ["central/access/walk.test.ts", "test/fuzz"].map((p) => path.normalize(p));

/** A test of a central that leaves open what that stores in. */
function isOfAnyStore(file: string): boolean {
  if (ofOneStore.some((start) => file.startsWith(start))) return false;
  const text = readFileSync(file, "utf8");
  return /testing\/(central|machines)\.ts"/.test(text) && !/MemoryStore|LmdbStore|EtcdStore/.test(text);
}

/** Begun first: one of them at the end would be waited for alone. */
const longest = ["test/sim", "central/network/pools", "central/access/walk", "test/fuzz", "test/crash"];

const rank = (file: string) => {
  const at = longest.findIndex((start) => file.startsWith(path.normalize(start)));
  return at < 0 ? longest.length : at;
};

/** One more than there are cores: many wait for sockets, stores and other programs. */
const concurrency = availableParallelism() + 1;

const count = { passed: 0, failed: 0, skipped: 0 };
const isLeaf = (data: { details: { type?: string } }) => data.details.type !== "suite";
/** A suite that fails by itself, and not only because a test of it does. */
const isOwnFailure = (error: Error) => (error as { failureType?: string }).failureType !== "subtestsFailed";

const [folder = "", ...sources] = process.argv.slice(2);
const bundledOf = (source: string) => path.join(folder, source.replace(/\.ts$/, ".js"));

async function runAll(files: readonly string[], store: string): Promise<void> {
  process.env.HOLDFAST_TEST_STORE = store;
  const inOrder = files.toSorted((a, b) => rank(a) - rank(b)).map(bundledOf);
  const stream = run({ files: inOrder, concurrency, timeout: 170_000 })
    .on("test:pass", (data) => {
      if (isLeaf(data)) count[data.skip === undefined ? "passed" : "skipped"]++;
    })
    .on("test:fail", (data) => {
      if (isLeaf(data) || isOwnFailure(data.details.error)) count.failed++;
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
  const dataDir = mkdtempSync(path.join(tmpdir(), "holdfast-test-etcd-"));
  const etcd = await startEtcd({ dataDir, flush: "none" });
  try {
    await runAll(files, etcd.endpoints[0] ?? "");
  } finally {
    await etcd.stop();
    rmSync(dataDir, { recursive: true });
  }
}

const stored = sources.filter(isOfAnyStore);
const only = process.env.HOLDFAST_TEST_STORE;
const isWanted = (store: string) => only === undefined || only === store;
if (isWanted("memory")) await runAll(sources, "memory");
if (isWanted("embedded") && stored.length > 0) {
  console.log(`── ${stored.length} files over the embedded store`);
  await runAll(stored, "embedded");
}
if (isWanted("etcd") && stored.length > 0) {
  console.log(`── ${stored.length} files over etcd`);
  await overEtcd(stored);
}
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
process.exitCode = count.failed === 0 && sources.length > 0 ? 0 : 1;
