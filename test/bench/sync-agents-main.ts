// Child of npm run bench:sync: many agents in one process, each with the shipped link, ledger and outbox, a connection and a disk of its own.
// Told by the parent what to do, it tells when each revision came and when it was durable, on the clock that all processes share.
import path from "node:path";
import { syncClient } from "#agent/io/sync-client.ts";
import { Ledger } from "#agent/ledger/ledger.ts";
import { CentralTime } from "#agent/link/central-time.ts";
import { Link, type SyncClient } from "#agent/link/link.ts";
import { Lives } from "#agent/link/lives.ts";
import { Outbox } from "#agent/outbox/outbox.ts";
import { LmdbDisk } from "#lib/io/lmdb-disk.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { startMemoryWatch } from "./memory.ts";
import { type AgentOrders, nowMs, type Seen, tell, upToDate } from "./protocol.ts";

const orders = JSON.parse(process.argv[2] ?? "") as AgentOrders;
let seen: Seen[] = [];
const links: Link[] = [];

async function startAgent(partition: string): Promise<Link> {
  const disk = new LmdbDisk(path.join(orders.folder, partition));
  let cameMs = 0;
  const ledger = new Ledger(disk, log, (kind, id) => {
    // A change of the set as a whole is told by its end, not by its items.
    if (isLoaded) seen.push({ partition, item: `${kind}/${id}`, cameMs, durableMs: nowMs() });
  });
  let isLoaded = false;
  const outbox = await Outbox.open(disk, random, log, () => {});
  const wire = syncClient({ url: orders.url, token: async () => orders.token, tls: {} });
  const client: SyncClient = {
    async *follow(request, signal) {
      for await (const message of wire.follow(request, signal)) {
        cameMs = nowMs();
        yield message;
      }
    },
    report: (request, signal) => wire.report(request, signal),
  };
  const link = new Link({
    partition,
    centralTime: new CentralTime(clock, () => {}),
    lives: await Lives.open({ disk, present: random.uuid(), log }, outbox.sequence),
    client,
    ledger,
    outbox,
    told: () => "",
    displaced: () => {},
    tellAll: async () => {},
    recollect: async () => {},
    upToDate: async () => {
      const atMs = nowMs();
      if (!isLoaded) seen.push({ partition, item: upToDate, cameMs: atMs, durableMs: atMs });
      isLoaded = true;
    },
    clock,
    random,
    log,
  });
  // A signal of its own, as in a process of its own: to begin and end listening takes as long as there are listeners.
  void link.run(new AbortController().signal);
  return link;
}

for (let i = orders.first; i < orders.first + orders.count; i++) links.push(await startAgent(`${orders.prefix}${i}`));

// To look all the time is work that no agent has, and is only wanted of one that gets much.
const memory = orders.count === 1 ? startMemoryWatch() : undefined;
setInterval(() => {
  // Counted by looking: nobody but a link itself knows.
  const following = links.filter(({ state }) => state.phase === "following").length;
  tell({ following, seen, growth: memory?.growth ?? { resident: 0, anonymous: 0 } });
  seen = [];
}, 50);
process.on("disconnect", () => process.exit(0));
