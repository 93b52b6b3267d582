// Child of npm run bench:creates: one central, and after it one client of etcd alone. It does what it is told, and answers with what
// came of it.
import { EtcdStore } from "#central/io/etcd-store.ts";
import type { Commit } from "#central/store/store.ts";
import type { MachineServiceCreateRequest } from "#gen/metalstack/api/v2/machine_pb.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { type Amount, commitRaw, openCentral } from "./creates.ts";
import { rawEtcd } from "./raw-etcd.ts";

export type Order =
  | { readonly act: "open"; readonly root: string }
  | { readonly act: "give"; readonly request: MachineServiceCreateRequest; readonly amount: Amount }
  | { readonly act: "close" }
  | { readonly act: "raw"; readonly prefix: string; readonly shape: Commit; readonly amount: Amount };

const endpoints = process.argv.slice(2);
const peer = rawEtcd(endpoints);
let store: EtcdStore | undefined;
let central: Awaited<ReturnType<typeof openCentral>> | undefined;

async function carryOut(order: Order): Promise<unknown> {
  switch (order.act) {
    case "open":
      store = new EtcdStore({ clock, random, log }, { endpoints, root: order.root });
      central = await openCentral(store);
      return undefined;
    case "give":
      return central?.giveAway(order.request, order.amount);
    case "close":
      await central?.close();
      return store?.close();
    case "raw":
      return commitRaw(peer, order.prefix, order.shape, order.amount);
  }
}

process.on("message", (order: Order) => void carryOut(order).then((answer) => process.send?.([answer])));
process.on("disconnect", () => process.exit(0));
