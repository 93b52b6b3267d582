// Child of npm run bench:sync: what the agents are compared with. Many watchers of etcd itself, each with a connection of its own, one on
// a key of its own and on one that all share; where it is asked for, with a disk of its own, on which it writes what comes.
import path from "node:path";
import { Etcd3 } from "etcd3";
import { LmdbDisk } from "#lib/io/lmdb-disk.ts";
import { nowMs, type Seen, tell, type WatcherOrders } from "./protocol.ts";

const orders = JSON.parse(process.argv[2] ?? "") as WatcherOrders;
let seen: Seen[] = [];
let following = 0;

for (let i = orders.first; i < orders.first + orders.count; i++) {
  const etcd = new Etcd3({ hosts: [orders.url] });
  const partition = `p${i}`;
  const disk = orders.folder === undefined ? undefined : new LmdbDisk(path.join(orders.folder, partition));
  for (const key of [`${orders.prefix}own/${i}`, `${orders.prefix}shared`]) {
    const watcher = await etcd.watch().key(key).create();
    watcher.on("put", async (put) => {
      const cameMs = nowMs();
      await disk?.write([{ table: "seen", key, value: put.value }]);
      seen.push({ partition, item: `${put.key}@${put.value}`, cameMs, durableMs: nowMs() });
    });
  }
  following++;
}

setInterval(() => {
  tell({ following, seen, growth: { resident: 0, anonymous: 0 } });
  seen = [];
}, 50);
process.on("disconnect", () => process.exit(0));
