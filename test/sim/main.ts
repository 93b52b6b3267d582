// npm run sim: many seeds, each a run of its own, over as many processes as there are cores. See docs/simulator.md.
import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { bundled, type Program } from "../bundled.ts";
import { commit } from "./commit.ts";
import { type Outcome, runSeed } from "./run.ts";
import { shrink } from "./shrink.ts";
import { marksInSource } from "./sometimes.ts";
import { clockText } from "./trace.ts";
import type { Told } from "./worker-main.ts";

const usage = `npm run sim -- [flags]     the shipped central, agent and installer on virtual time, with faults

  --seeds N     how many seeds (200)
  --first N     the first of them (1)
  --seed S      one seed, with its timeline
  --minutes N   begin no further seed after so long, and say how many are left
  --marks       fail also when a mark in the source was never come by
  --workers N   processes (as many as there are cores)
  --help        this text
`;

const eachChunk = 5;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "200" },
      first: { type: "string", default: "1" },
      seed: { type: "string" },
      minutes: { type: "string", default: "1e9" },
      marks: { type: "boolean", default: false },
      workers: { type: "string", default: String(availableParallelism()) },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const { seeds, first, workers, minutes } = values;
  const wanted = { seeds: Number(seeds), first: Number(first), workers: Number(workers), minutes: Number(minutes) };
  if (!Object.values(wanted).every((n) => Number.isSafeInteger(n) && n > 0)) {
    console.error(`sim: --seeds, --first, --workers and --minutes want whole numbers above 0\n\n${usage}`);
    return 2;
  }
  return values.seed === undefined ? await many(wanted, values.marks) : await one(Number(values.seed));
}

async function one(seed: number): Promise<number> {
  const outcome = await runSeed(seed);
  for (const line of outcome.trace) console.log(line);
  console.log(`\n${summary(outcome)}`);
  return outcome.failure === undefined ? 0 : 1;
}

const summary = (o: Outcome | Told): string =>
  `seed ${o.seed}: ${o.failure ?? "everything held"}\n  commit ${commit()}, ${o.events} events, ${clockText(o.virtualMs)} of virtual time, trace ${o.digest.slice(0, 16)}\n  faults: ${o.faults.join(", ") || "none"}`;

interface Many {
  readonly seeds: number;
  readonly first: number;
  readonly workers: number;
  readonly minutes: number;
}

async function many({ seeds, first, workers, minutes }: Many, wantsMarks: boolean): Promise<number> {
  const begin = performance.now();
  const told: Told[] = [];
  let next = first;
  const end = first + seeds;
  const take = (): readonly number[] => {
    const from = next;
    if (performance.now() - begin > minutes * 60_000) return [];
    next = Math.min(end, next + eachChunk);
    return Array.from({ length: next - from }, (_, i) => from + i);
  };
  const progress = setInterval(() => console.log(`  ${told.length} of ${seeds} seeds`), 15_000);
  const worker = await bundled(path.join(import.meta.dirname, "worker-main.ts"));
  try {
    await Promise.all(Array.from({ length: workers }, () => employ(worker, take, (outcome) => told.push(outcome))));
  } finally {
    clearInterval(progress);
    worker.remove();
  }
  const seconds = (performance.now() - begin) / 1000;
  const failed = told.filter((o) => o.failure !== undefined).sort((a, b) => a.seed - b.seed);
  const marks = marksInSource();
  const missing = marks.filter((mark) => !told.some((o) => o.marks.includes(mark)));
  report(told, seconds);
  console.log(`marks come by: ${marks.length - missing.length} of ${marks.length}`);
  for (const outcome of failed.slice(0, 5)) await explain(outcome);
  for (const outcome of failed.slice(5)) console.log(`seed ${outcome.seed}: ${outcome.failure}`);
  const begun = next - first;
  if (begun < seeds) console.log(`${seeds - begun} seeds were not begun within ${minutes} minutes`);
  // Those that are left may be the ones that come by a mark.
  const unmarked = wantsMarks && begun === seeds ? missing.length : 0;
  if (unmarked > 0) console.log(`never come by: ${missing.join("; ")}`);
  const bad = failed.length + unmarked + (begun - told.length);
  console.log(`${told.length - failed.length} passed, ${bad} failed, ${seeds - begun} skipped`);
  return bad === 0 ? 0 : 1;
}

function report(told: readonly Told[], seconds: number): void {
  const sum = (of: (o: Told) => number) => told.reduce((all, o) => all + of(o), 0);
  const injected = new Map<string, number>();
  for (const o of told) for (const [name, count] of o.injected) injected.set(name, (injected.get(name) ?? 0) + count);
  const events = sum((o) => o.events);
  const hours = sum((o) => o.virtualMs) / 3_600_000;
  console.log(
    `\n${told.length} seeds in ${seconds.toFixed(0)} s: ${Math.round(events / seconds)} events/s, ${events} events`,
  );
  console.log(`virtual time: ${hours.toFixed(0)} h, ${Math.round((hours * 3600) / seconds)} times as fast as real`);
  console.log(`invariants checked: ${sum((o) => o.checks)} times`);
  console.log("faults injected:");
  for (const [name, count] of [...injected].sort((a, b) => b[1] - a[1]))
    console.log(`  ${String(count).padStart(7)}  ${name}`);
}

/** Drops faults while the seed still fails, and shows the end of what happened. */
async function explain(told: Told): Promise<void> {
  const smallest = await shrink(told.seed, told.faults);
  console.log(`\n${summary(told)}`);
  console.log(`  fails with these alone: ${smallest.faults.join(", ") || "no fault at all"}`);
  console.log("  the end of its timeline:");
  for (const line of smallest.trace.slice(-25)) console.log(`    ${line.slice(0, 220)}`);
  console.log(`  all of it: npm run sim -- --seed ${told.seed}\n`);
}

/** Runs a worker until there is nothing left to take. */
function employ({ file }: Program, take: () => readonly number[], tell: (outcome: Told) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    // What lives for one event is most of what there is: room for it spares the collector a tenth of all time.
    const worker: ChildProcess = fork(file, [], { execArgv: ["--max-semi-space-size=64"] });
    let left = 0;
    const feed = () => {
      const seeds = take();
      left = seeds.length;
      if (left > 0) worker.send(seeds);
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

process.exitCode = await main();
