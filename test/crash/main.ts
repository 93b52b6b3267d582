// npm run crash: kills central at every await of the calls that make and delete, and tells where what is left behind changes.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { etcdMissing, startEtcd } from "#central/io/testing/etcd-process.ts";
import { type Deed, deeds } from "./deeds.ts";
import { houseOver, type Kept } from "./house.ts";
import { type Swept, sweep } from "./sweep.ts";

const usage = `npm run crash -- [flags] [CALL …]     kills central at every await of these calls: ${Object.keys(deeds).join(", ")}

  --spread N   at so many of them, and at those around each change of what is left behind (all)
  --etcd       over an etcd of its own, in place of the embedded store
`;
/** Calls that are worked on at once, each over a store of its own. */
const atOnce = 2;
/** Rounds of a few seconds. */
const progressEvery = 10;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { spread: { type: "string" }, etcd: { type: "boolean", default: false }, help: { type: "boolean" } },
  });
  const spread = Number(values.spread ?? Number.POSITIVE_INFINITY);
  const all: Readonly<Record<string, Deed>> = deeds;
  const wanted = positionals.length === 0 ? Object.values(all) : positionals.map((name) => all[name]);
  if (values.help || !(spread >= 1) || wanted.includes(undefined)) {
    console.log(usage);
    return values.help ? 0 : 2;
  }
  const queue = wanted.flatMap((deed) => deed ?? []);
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let deed = queue.shift(); deed !== undefined; deed = queue.shift())
        await sweepAndTell(deed, spread, values.etcd);
    }),
  );
  return 0;
}

async function sweepAndTell(deed: Deed, spread: number, isOverEtcd: boolean): Promise<void> {
  const begunMs = Date.now();
  const use = async (kept: Kept) => {
    const house = await houseOver(kept);
    try {
      return await sweep(house, deed, { spread, closelyMs: Number.POSITIVE_INFINITY }, (done, awaits) => {
        if (done % progressEvery === 0) console.log(`  ${deed.name}: ${done} of ${awaits}`);
      });
    } finally {
      house.remove();
    }
  };
  const swept = isOverEtcd
    ? await withEtcd((endpoints) => use({ kind: "etcd", endpoints }))
    : await use({ kind: "embedded" });
  console.log(told(deed, swept, Date.now() - begunMs));
}

async function withEtcd<T>(use: (endpoints: readonly string[]) => Promise<T>): Promise<T> {
  const missing = etcdMissing();
  if (missing !== undefined) throw new Error(missing);
  const dataDir = mkdtempSync(path.join(tmpdir(), "holdfast-crash-etcd-"));
  const etcd = await startEtcd({ dataDir, flush: "none" });
  try {
    return await use(etcd.endpoints);
  } finally {
    await etcd.stop();
    rmSync(dataDir, { recursive: true });
  }
}

/** Where what is found becomes something else. */
function told({ name }: Deed, { awaits, found }: Swept, tookMs: number): string {
  const lines = [`${name}: ${awaits} awaits, killed at ${found.size} of them, in ${Math.round(tookMs / 1000)} s`];
  let before = "";
  for (const [at, { what, told }] of [...found].sort(([a], [b]) => a - b)) {
    if (`${what}; ${told}` !== before) lines.push(`  from ${at} on: ${what}; ${told}`);
    before = `${what}; ${told}`;
  }
  return lines.join("\n");
}

process.exitCode = await main();
