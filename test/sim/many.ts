import { type ChildProcess, fork } from "node:child_process";
import path from "node:path";
import { bundled, type Program } from "../bundled.ts";
import { explain, report } from "./report.ts";
import { marksInSource } from "./sometimes.ts";
import type { Chosen } from "./swarm.ts";
import type { Job, Told } from "./worker-main.ts";

const eachChunk = 5;
/** With fewer seeds a mark may be missed by chance: the rarest are come by in one of 100 to 200. */
const markSeedsLeast = 1_000;

interface Many {
  readonly seeds: number;
  readonly first: number;
  readonly workers: number;
  readonly minutes: number;
  /** Undefined: each seed takes its own. */
  readonly chosen: readonly Chosen[] | undefined;
  readonly wantsMarks: boolean;
}

/** Runs them all, and tells what came of it. @returns the exit code */
export async function many({ seeds, first, workers, minutes, chosen, wantsMarks }: Many): Promise<number> {
  const begin = performance.now();
  const told: Told[] = [];
  let next = first;
  const end = first + seeds;
  const take = (): Job | undefined => {
    const from = next;
    if (performance.now() - begin > minutes * 60_000) return undefined;
    next = Math.min(end, next + eachChunk);
    return from === next ? undefined : { seeds: Array.from({ length: next - from }, (_, i) => from + i), chosen };
  };
  const progress = setInterval(() => console.log(`  ${told.length} of ${seeds} seeds`), 15_000);
  const worker = await bundled(path.join(import.meta.dirname, "worker-main.ts"));
  try {
    await Promise.all(Array.from({ length: workers }, () => employ(worker, take, (outcome) => told.push(outcome))));
  } finally {
    clearInterval(progress);
    worker.remove();
  }
  report(told, (performance.now() - begin) / 1000);
  const marks = marksInSource();
  const missing = marks.filter((mark) => !told.some((o) => o.marks.includes(mark)));
  console.log(`marks come by: ${marks.length - missing.length} of ${marks.length}`);
  const failed = await explained(told);
  const begun = next - first;
  if (begun < seeds) console.log(`${seeds - begun} seeds were not begun within ${minutes} minutes`);
  // Of those that were asked for, or of enough of them on a machine that is too slow for all.
  const judgesMarks = wantsMarks && (begun === seeds || begun >= markSeedsLeast);
  if (wantsMarks && !judgesMarks) console.log(`marks are not judged by fewer than ${markSeedsLeast} seeds`);
  const unmarked = judgesMarks ? missing.length : 0;
  if (unmarked > 0) console.log(`never come by: ${missing.join("; ")}`);
  const bad = failed + unmarked + (begun - told.length);
  console.log(`${told.length - failed} passed, ${bad} failed, ${seeds - begun} skipped`);
  return bad === 0 ? 0 : 1;
}

/** @returns how many failed */
async function explained(told: readonly Told[]): Promise<number> {
  const failed = told.flatMap((one) => (one.failure === undefined ? [] : { one, failure: one.failure }));
  failed.sort((a, b) => a.one.seed - b.one.seed);
  for (const { one, failure } of failed.slice(0, 5)) await explain(one, failure);
  for (const { one, failure } of failed.slice(5)) console.log(`seed ${one.seed}: ${failure}`);
  return failed.length;
}

/** Runs a worker until there is nothing left to take. */
function employ({ file }: Program, take: () => Job | undefined, tell: (outcome: Told) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    // What lives for one event is most of what there is: room for it spares the collector a tenth of all time.
    const worker: ChildProcess = fork(file, [], { execArgv: ["--max-semi-space-size=64"] });
    let left = 0;
    const feed = () => {
      const job = take();
      left = job?.seeds.length ?? 0;
      if (job) worker.send(job);
      else worker.disconnect();
    };
    worker.on("message", (outcome: Told) => {
      tell(outcome);
      if (--left === 0) feed();
    });
    worker.once("error", reject);
    worker.once("exit", (code) => {
      if (code !== 0) console.log(`sim: a worker ended with ${code}`);
      resolve();
    });
    feed();
  });
}
