// npm run sim: many seeds, each a run of its own, over as many processes as there are cores. See docs/simulator.md.
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { many } from "./many.ts";
import { summary } from "./report.ts";
import { runSeed } from "./run.ts";
import { type Chosen, faultList, parseFaults, taken } from "./swarm.ts";

const usage = `npm run sim -- [flags]     the shipped central, agent and installer on virtual time, with faults

  --seeds N     how many seeds (200)
  --first N     the first of them (1)
  --seed S      one seed, with its timeline
  --faults F    these faults alone, instead of those that each seed takes: names with commas between them, each with what it shall have, else
                the seed draws that ("link cut,link slow:delayMs=2000:everyMs=60000"); "none"; "list" shows names, units and bounds
  --minutes N   begin no further seed after so long, and say how many are left
  --marks       fail also when a mark in the source was never come by
  --workers N   processes (as many as there are cores)
  --help        this text
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "200" },
      first: { type: "string", default: "1" },
      seed: { type: "string" },
      faults: { type: "string" },
      minutes: { type: "string", default: "1e9" },
      marks: { type: "boolean", default: false },
      workers: { type: "string", default: String(availableParallelism()) },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help || values.faults === "list") {
    console.log(values.help ? usage : faultList());
    return 0;
  }
  const { seeds, first, workers, minutes } = values;
  const wanted = { seeds: Number(seeds), first: Number(first), workers: Number(workers), minutes: Number(minutes) };
  const seed = Number(values.seed ?? 1);
  if (![seed, ...Object.values(wanted)].every((n) => Number.isSafeInteger(n) && n > 0)) {
    console.error(`sim: --seeds, --first, --seed, --workers and --minutes want whole numbers above 0\n\n${usage}`);
    return 2;
  }
  const chosen = values.faults === undefined ? undefined : parseFaults(values.faults);
  if (typeof chosen === "string") {
    console.error(`sim: ${chosen}\n\n${faultList()}`);
    return 2;
  }
  return values.seed === undefined
    ? await many({ ...wanted, chosen, wantsMarks: values.marks })
    : await one(seed, chosen);
}

async function one(seed: number, chosen: readonly Chosen[] | undefined): Promise<number> {
  const outcome = await runSeed(
    seed,
    chosen?.map((one) => taken(seed, one)),
  );
  for (const line of outcome.trace) console.log(line);
  console.log(`\n${summary(outcome)}`);
  return outcome.failure === undefined ? 0 : 1;
}

process.exitCode = await main();
