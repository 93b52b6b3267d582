// npm run bench:ipam: what it costs to find and take a free address, in memory and durably. See docs/bench.md.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { EtcdStore } from "#central/io/etcd-store.ts";
import { LmdbStore } from "#central/io/lmdb-store.ts";
import { etcdMissing, startEtcd } from "#central/io/testing/etcd-process.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { type Rate, takeDurably, writeDurably } from "./ipam-durable.ts";
import { cells, fills, scanned, searched } from "./ipam-memory.ts";
import { row } from "./text.ts";

const usage = `npm run bench:ipam -- [flags]     free addresses, beside a walk over a set and raw commits, in one run

  --only WHAT      memory or durable; both unless said
  --takes N        addresses that are taken durably in each case (5000)
  --parallel N     of them at once (64)
  --data FOLDER    where the stores keep their data (the system's folder for temporary files)
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: "" },
      takes: { type: "string", default: "5000" },
      parallel: { type: "string", default: "64" },
      data: { type: "string", default: tmpdir() },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const amount = { takes: Number(values.takes), parallel: Number(values.parallel) };
  if (!["", "memory", "durable"].includes(values.only)) {
    console.error(`bench:ipam: --only ${values.only} is neither memory nor durable\n\n${usage}`);
    return 2;
  }
  if (!Object.values(amount).every((n) => Number.isSafeInteger(n) && n > 0)) {
    console.error(`bench:ipam: whole numbers above 0 are wanted\n\n${usage}`);
    return 2;
  }
  if (values.only !== "durable") memory();
  if (values.only === "memory") return 0;
  const folder = mkdtempSync(path.join(values.data, "holdfast-bench-"));
  try {
    await durable(folder, amount);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return 0;
}

function memory(): void {
  console.log(row(["ns to find and take one", ...fills.map((fill) => `${fill * 100} %`)]));
  for (const cell of cells) {
    for (const spread of ["lowest", "spread"] as const) {
      const times = fills.map((fill) => searched(cell.filled(fill), cell.prefix, spread));
      console.log(row([`${cell.name}, ${spread}`, ...times.map((ns) => ns.toFixed(0))]));
    }
  }
  console.log(row(["/16, walk over a set", ...fills.map((fill) => scanned(fill).toFixed(0))]));
}

async function durable(folder: string, amount: { readonly takes: number; readonly parallel: number }): Promise<void> {
  console.log(`\n${amount.takes} addresses of one /16, ${amount.parallel} at once, flushed to ${folder}`);
  console.log(row(["", "acquires/s", "raw commits/s", "ratio", "lost races"]));
  const embedded = new LmdbStore({ clock, random, log }, { folder: path.join(folder, "lmdb") });
  show("embedded", await takeDurably([embedded], amount), await writeDurably(embedded, amount));
  await embedded.close();
  const missing = etcdMissing();
  if (missing !== undefined) {
    console.log(`etcd skipped: ${missing}`);
    return;
  }
  for (const centrals of [1, 4]) {
    const etcd = await startEtcd({ dataDir: path.join(folder, `etcd-${centrals}`) });
    const open = () => new EtcdStore({ clock, random, log }, { endpoints: etcd.endpoints });
    const stores = Array.from({ length: centrals }, open);
    show(`etcd, centrals: ${centrals}`, await takeDurably(stores, amount), await writeDurably(stores[0]!, amount));
    for (const store of stores) await store.close();
    await etcd.stop();
  }
}

function show(name: string, ours: Rate, raw: Rate): void {
  const ratio = (ours.perSecond / raw.perSecond).toFixed(2);
  console.log(row([name, ours.perSecond.toFixed(0), raw.perSecond.toFixed(0), ratio, `${ours.lost}`]));
}

process.exitCode = await main();
