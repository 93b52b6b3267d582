import { commit } from "./commit.ts";
import type { Outcome } from "./run.ts";
import { shrink } from "./shrink.ts";
import { chosenText, takenText } from "./swarm.ts";
import { clockText } from "./trace.ts";
import type { Told } from "./worker-main.ts";

const linesShown = 25;
const columnsShown = 220;

export const summary = (o: Outcome | Told): string =>
  [
    `seed ${o.seed}: ${o.failure ?? "everything held"}`,
    `  commit ${commit()}, ${o.events} events, ${clockText(o.virtualMs)} of virtual time, trace ${o.digest.slice(0, 16)}`,
    ...(o.faults.length === 0 ? ["  faults: none"] : ["  faults:", ...o.faults.map((one) => `    ${takenText(one)}`)]),
  ].join("\n");

/** What so many seeds have been through. */
export function report(told: readonly Told[], seconds: number): void {
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

/** Drops faults while the seed still fails in the same way, and shows the end of what happened. */
export async function explain(told: Told, failure: string): Promise<void> {
  const smallest = await shrink({ ...told, failure });
  const names = smallest.faults.map(({ name }) => name);
  console.log(`\n${summary(told)}`);
  console.log(`  fails in this way with these alone: ${names.join(", ") || "no fault at all"}`);
  if (smallest.failure !== failure) console.log(`  then: ${smallest.failure}`);
  console.log("  the end of that timeline:");
  for (const line of smallest.trace.slice(-linesShown)) console.log(`    ${line.slice(0, columnsShown)}`);
  console.log(`  all of it: npm run sim -- --seed ${told.seed} --faults "${chosenText(smallest.faults)}"\n`);
}
