import { mkdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { accepts, type StoreConfig } from "./daemons.ts";
import type { LabPlan } from "./plan.ts";
import { type Running, start } from "./process.ts";
import { Late } from "./waiting.ts";

const firstPort = 2379;
const upDeadlineMs = 20_000;

interface Member {
  readonly name: string;
  readonly clientPort: number;
  readonly peerUrl: string;
}

/** Real etcd, of one member or several, with their data in the lab's folder. */
export class Etcd {
  readonly #plan: LabPlan;
  readonly #address: string;
  readonly #inside: readonly string[];
  readonly #members: readonly Member[];
  readonly #running = new Map<string, Running>();

  /** @param inside put before the command of every member, so that it runs where `address` is */
  constructor(plan: LabPlan, place: { readonly address: string; readonly inside: readonly string[] }, members: number) {
    this.#plan = plan;
    this.#address = place.address;
    this.#inside = place.inside;
    this.#members = Array.from({ length: members }, (_, i) => ({
      name: `etcd${i + 1}`,
      clientPort: firstPort + 2 * i,
      peerUrl: `http://${place.address}:${firstPort + 2 * i + 1}`,
    }));
  }

  get store(): StoreConfig {
    return { kind: "etcd", endpoints: this.#members.map((m) => this.#clientUrl(m)) };
  }

  get names(): readonly string[] {
    return this.#members.map((m) => m.name);
  }

  /** Resolves when every member accepts connections. @throws when one ends or is not up in time */
  async start(): Promise<void> {
    await Promise.all(this.#members.map((m) => this.#start(m)));
  }

  async restart(name: string): Promise<void> {
    const member = this.#members.find((m) => m.name === name);
    if (!member) throw new Error(`there is no etcd member ${name}`);
    await this.#start(member);
  }

  async kill(name: string): Promise<void> {
    await this.#running.get(name)?.stop("SIGKILL");
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running.values()].map((r) => r.stop("SIGTERM", 3000)));
  }

  #clientUrl = ({ clientPort }: Member): string => `http://${this.#address}:${clientPort}`;

  async #start(member: Member): Promise<void> {
    const { name, peerUrl } = member;
    const folder = path.join(this.#plan.folder, name);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const log = path.join(this.#plan.folder, `${name}.log`);
    const clientUrl = this.#clientUrl(member);
    const cluster = this.#members.map((m) => `${m.name}=${m.peerUrl}`).join(",");
    const command = ["etcd", "--name", name, "--data-dir", folder, "--initial-cluster", cluster];
    const client = ["--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl];
    const peer = ["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl];
    const running = start([...this.#inside, ...command, ...client, ...peer], { name, log });
    this.#running.set(name, running);
    const deadline = performance.now() + upDeadlineMs;
    while (!(await accepts(this.#address, member.clientPort))) {
      if (!running.isAlive) throw new Error(`${name} ended while starting; see ${log}`);
      if (performance.now() > deadline) throw new Late(`${name} listens at ${clientUrl}`, upDeadlineMs, "");
      await delay(100);
    }
  }
}
