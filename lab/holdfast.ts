import { readFileSync } from "node:fs";
import { type Api, openApi } from "./api.ts";
import type { Artifacts } from "./artifacts.ts";
import {
  adminTokenFile,
  agentDaemon,
  type CentralPlace,
  caFile,
  centralDaemon,
  type Daemon,
  deskUrl,
} from "./daemons.ts";
import type { LabPlan } from "./plan.ts";
import { type Seeded, seed } from "./seed.ts";
import type { Timeline } from "./timeline.ts";
import { MachineWatch } from "./watch.ts";

/** Central and agent over one datacenter, and the public API as the way in. */
export class Holdfast {
  readonly central: Daemon;
  readonly agent: Daemon;
  readonly watch: MachineWatch;
  readonly #plan: LabPlan;
  readonly #stopping = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #api: Api | undefined;
  #seeded: Seeded | undefined;

  /** @param ended told when a daemon ends by itself */
  constructor(
    plan: LabPlan,
    place: CentralPlace,
    timeline: Timeline,
    ended: (name: string, how: string, log: string) => void,
  ) {
    this.#plan = plan;
    const tell = (daemon: Daemon, how: string) => ended(daemon.spec.name, how, daemon.spec.log);
    this.central = centralDaemon(plan, place, tell);
    this.agent = agentDaemon(plan, tell);
    this.watch = new MachineWatch(plan, timeline);
  }

  get api(): Api {
    if (this.#api === undefined) throw new Error("Holdfast is not started");
    return this.#api;
  }

  get seeded(): Seeded {
    if (this.#seeded === undefined) throw new Error("Holdfast is not started");
    return this.#seeded;
  }

  async start(artifacts: Artifacts): Promise<void> {
    await this.central.start();
    const token = readFileSync(adminTokenFile(this.#plan), "utf8").trim();
    this.#api = openApi(deskUrl(this.#plan), { token, ca: readFileSync(caFile(this.#plan), "utf8") });
    this.#seeded = await seed(this.#api, this.#plan, artifacts);
    this.#following = this.watch.follow(this.#api, this.#stopping.signal);
    await this.agent.start();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#following;
    await this.agent.stop();
    await this.central.stop();
  }
}
