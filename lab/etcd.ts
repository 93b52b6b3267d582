import { mkdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { accepts, type StoreConfig } from "./daemons.ts";
import type { LabPlan } from "./plan.ts";
import { type Running, start } from "./process.ts";
import { Late } from "./waiting.ts";

const clientUrl = "http://127.0.0.1:2379";
export const etcdStore: StoreConfig = { kind: "etcd", endpoints: [clientUrl] };
const upDeadlineMs = 20_000;

/** One real etcd inside the lab's namespace, with its data in the lab's folder. */
export async function startEtcd(plan: LabPlan): Promise<Running> {
  const folder = path.join(plan.folder, "etcd");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const log = path.join(plan.folder, "etcd.log");
  const command = ["etcd", "--name", "lab", "--data-dir", folder];
  const urls = ["--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl];
  const running = start([...command, ...urls, "--listen-peer-urls", "http://127.0.0.1:2380"], { name: "etcd", log });
  const deadline = performance.now() + upDeadlineMs;
  while (!(await accepts("127.0.0.1", 2379))) {
    if (!running.isAlive) throw new Error(`etcd ended while starting; see ${log}`);
    if (performance.now() > deadline) throw new Late(`etcd listens at ${clientUrl}`, upDeadlineMs, "");
    await delay(100);
  }
  return running;
}
