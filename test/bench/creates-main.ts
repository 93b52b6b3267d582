// npm run bench:creates: machines given away by one central and by four over one etcd, beside raw commits of the same shape. See
// docs/bench.md.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { EtcdStore } from "#central/io/etcd-store.ts";
import { etcdMissing, startEtcd } from "#central/io/testing/etcd-process.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { commitRaw, fillRoom, giveAway } from "./creates.ts";
import { rawEtcd } from "./raw-etcd.ts";
import { row } from "./text.ts";

const usage = `npm run bench:creates -- [flags]     machines given away, beside raw commits of the same shape, in one run

  --machines N     that there are, and that are asked for (1000)
  --in-flight N    creations at once, over all centrals (64)
  --data FOLDER    where etcd keeps its data (the system's folder for temporary files)
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      machines: { type: "string", default: "1000" },
      "in-flight": { type: "string", default: "64" },
      data: { type: "string", default: tmpdir() },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const amount = { machines: Number(values.machines), inFlight: Number(values["in-flight"]) };
  if (!Object.values(amount).every((n) => Number.isSafeInteger(n) && n > 0)) {
    console.error(`bench:creates: whole numbers above 0 are wanted\n\n${usage}`);
    return 2;
  }
  const missing = etcdMissing();
  if (missing !== undefined) {
    console.log(`skipped: ${missing}`);
    return 0;
  }
  console.log(`${amount.machines} machines, ${amount.inFlight} creations at once; etcd flushes to ${values.data}`);
  console.log(row(["", "creates/s", "p99 ms", "raw commits/s", "ratio", "lost races"]));
  for (const centrals of [1, 4]) {
    const folder = mkdtempSync(path.join(values.data, "holdfast-bench-"));
    const etcd = await startEtcd({ dataDir: folder });
    const stores = Array.from(
      { length: centrals },
      () => new EtcdStore({ clock, random, log }, { endpoints: etcd.endpoints }),
    );
    const peers = stores.map(() => rawEtcd(etcd.endpoints));
    try {
      const request = await fillRoom(stores[0]!, amount.machines);
      const given = await giveAway(stores, request, amount);
      if (given.allocated !== amount.machines) throw new Error(`${given.allocated} machines were given away`);
      const raw = await commitRaw(peers, given.commit, amount);
      const { perSecond, p99 } = given.load;
      const ratio = (perSecond / raw.perSecond).toFixed(2);
      const cells = [perSecond.toFixed(0), p99.toFixed(0), raw.perSecond.toFixed(0), ratio, `${given.lost}`];
      console.log(row([`centrals: ${centrals}`, ...cells]));
      const { conditions, puts } = given.commit;
      if (centrals === 1) console.log(`(one creation: ${conditions.length} conditions, ${puts.length} writes)`);
    } finally {
      for (const peer of peers) peer.close();
      for (const store of stores) await store.close();
      await etcd.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return 0;
}

process.exitCode = await main();
