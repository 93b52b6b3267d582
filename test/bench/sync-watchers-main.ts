// Child of npm run bench:sync: what the agents are compared with. Many watchers of etcd itself, each with a connection of its own, one on
// a key of its own and on one that all share.
import { Etcd3 } from "etcd3";
import { nowMs, type Seen, tell, type WatcherOrders } from "./protocol.ts";

const orders = JSON.parse(process.argv[2] ?? "") as WatcherOrders;
let seen: Seen[] = [];
let following = 0;

for (let i = orders.first; i < orders.first + orders.count; i++) {
  const etcd = new Etcd3({ hosts: [orders.url] });
  const partition = `p${i}`;
  for (const key of [`${orders.prefix}own/${i}`, `${orders.prefix}shared`]) {
    const watcher = await etcd.watch().key(key).create();
    watcher.on("put", (put) => {
      const atMs = nowMs();
      seen.push({ partition, item: `${put.key}@${put.value}`, cameMs: atMs, durableMs: atMs });
    });
  }
  following++;
}

setInterval(() => {
  tell({ following, seen, growth: { resident: 0, anonymous: 0 } });
  seen = [];
}, 50);
process.on("disconnect", () => process.exit(0));
