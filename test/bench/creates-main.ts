// npm run bench:creates: machines given away by one central and by four over one etcd, beside raw commits of the same shape. See
// docs/bench.md.
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { EtcdStore } from "#central/io/etcd-store.ts";
import { etcdMissing, startEtcd } from "#central/io/testing/etcd-process.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { checkRoom, fillRoom, type Given } from "./creates.ts";
import type { Order } from "./creates-central-main.ts";
import { loadOf, type Run } from "./load.ts";
import { quantile, row } from "./text.ts";

const usage = `npm run bench:creates -- [flags]     machines given away, beside raw commits of the same shape, in one run

  --machines N     that there are, and that are asked for (1000)
  --centrals N,…   how many over one etcd, each in a run of its own (1,4)
  --in-flight N    creations at once, over all centrals (64)
  --warm-up N      rounds before the others, which only warm both up: with fewer the compiler is still at it (30)
  --rounds N       of which the medians are told (9)
  --data FOLDER    where etcd keeps its data (the system's folder for temporary files)
`;

interface Round {
  readonly perSecond: number;
  readonly p99: number;
  readonly raw: number;
  readonly ratio: number;
  readonly lost: number;
  /** Microseconds of all centrals together, for one creation. */
  readonly computed: number;
}

interface Child {
  ask<T>(order: Order): Promise<T>;
  stop(): Promise<void>;
}

function startChild(endpoints: readonly string[]): Child {
  const child = fork(path.join(import.meta.dirname, "creates-central-main.ts"), endpoints, {
    // As `npm run central` has it.
    execArgv: ["--import", "tsx", "--max-semi-space-size=64"],
    serialization: "advanced",
  });
  const gone = once(child, "exit");
  return {
    async ask<T>(order: Order) {
      child.send(order);
      const ended = gone.then(([code]) => Promise.reject(new Error(`a central ended with ${code}`)));
      const [[answer]] = (await Promise.race([once(child, "message"), ended])) as [[T]];
      return answer;
    },
    async stop() {
      child.disconnect();
      await gone;
    },
  };
}

/** All of a room's machines given away, then as many raw commits by the same processes. */
async function round(
  children: readonly Child[],
  store: EtcdStore,
  root: string,
  amount: { machines: number; inFlight: number },
): Promise<Round> {
  const request = await fillRoom(store, amount.machines);
  const each = { calls: amount.machines / children.length, inFlight: amount.inFlight / children.length };
  const all = <T>(order: (i: number) => Order) => Promise.all(children.map((child, i) => child.ask<T>(order(i))));
  await all(() => ({ act: "open", root }));
  const given = await all<Given>(() => ({ act: "give", request, amount: each }));
  await all(() => ({ act: "close" }));
  await checkRoom(store, amount.machines);
  const shape = given[0]!.commit;
  const raw = loadOf(await all<Run>((i) => ({ act: "raw", prefix: `${root}/${i}`, shape, amount: each })));
  const { perSecond, p99 } = loadOf(given);
  return {
    perSecond,
    p99,
    raw: raw.perSecond,
    ratio: perSecond / raw.perSecond,
    lost: given.reduce((sum, one) => sum + one.lost, 0),
    computed: given.reduce((sum, one) => sum + one.computed, 0) / amount.machines,
  };
}

function tell(centrals: number, rounds: readonly Round[]): void {
  const median = (of: (one: Round) => number) => quantile(rounds.map(of), 0.5);
  const figures = [(one: Round) => one.perSecond, (one: Round) => one.p99, (one: Round) => one.raw].map(median);
  const cells = [
    ...figures.map((n) => n.toFixed(0)),
    median((one) => one.ratio).toFixed(2),
    median((one) => one.lost).toFixed(0),
    median((one) => one.computed).toFixed(0),
  ];
  console.log(row([`centrals: ${centrals}`, ...cells]));
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      machines: { type: "string", default: "1000" },
      centrals: { type: "string", default: "1,4" },
      "in-flight": { type: "string", default: "64" },
      "warm-up": { type: "string", default: "30" },
      rounds: { type: "string", default: "9" },
      data: { type: "string", default: tmpdir() },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const amount = { machines: Number(values.machines), inFlight: Number(values["in-flight"]) };
  const [warmUp, rounds] = [Number(values["warm-up"]), Number(values.rounds)];
  const centralsWanted = values.centrals.split(",").map(Number);
  const shares = centralsWanted.flatMap((n) => [n, amount.machines / n, amount.inFlight / n]);
  if (![...shares, warmUp, rounds].every((n) => Number.isSafeInteger(n) && n > 0)) {
    const text = "whole numbers above 0 are wanted, of machines and creations multiples of every number of centrals";
    console.error(`bench:creates: ${text}\n\n${usage}`);
    return 2;
  }
  const missing = etcdMissing();
  if (missing !== undefined) {
    console.log(`skipped: ${missing}`);
    return 0;
  }
  console.log(`${amount.machines} machines, ${amount.inFlight} creations at once; etcd flushes to ${values.data}`);
  console.log(row(["", "creates/s", "p99 ms", "raw commits/s", "ratio", "lost races", "computed µs"]));
  for (const centrals of centralsWanted) {
    const folder = mkdtempSync(path.join(values.data, "holdfast-bench-"));
    const etcd = await startEtcd({ dataDir: folder });
    const children = Array.from({ length: centrals }, () => startChild(etcd.endpoints));
    try {
      const done: Round[] = [];
      for (let i = 0; i < warmUp + rounds; i++) {
        const root = `/room${i}`;
        const store = new EtcdStore({ clock, random, log }, { endpoints: etcd.endpoints, root });
        done.push(await round(children, store, root, amount));
        await store.close();
      }
      tell(centrals, done.slice(warmUp));
    } finally {
      for (const child of children) await child.stop();
      await etcd.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return 0;
}

process.exitCode = await main();
