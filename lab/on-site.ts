import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { siteSocket } from "./daemons.ts";
import type { LabPlan, MachinePlan } from "./plan.ts";
import { run } from "./process.ts";
import { Late } from "./waiting.ts";

const cli = path.resolve(import.meta.dirname, "../cli/holdfast.mjs");
const lookEveryMs = 3_000;
const orderDeadlineMs = 150_000;

/** Somebody in the datacenter, with the command line and the agent's socket. */
export class OnSite {
  readonly #plan: LabPlan;

  constructor(plan: LabPlan) {
    this.#plan = plan;
  }

  /** Waits until the agent itself says that of the machine; an agent that is away is asked again. */
  async until({ name, uuid }: MachinePlan, state: string, deadlineMs: number): Promise<void> {
    const deadline = performance.now() + deadlineMs;
    for (let now = "nothing is known of it"; ; ) {
      try {
        const machines = JSON.parse(await this.#site(["machines", "-o", "json"])) as Machines;
        now = machines.find((m) => m.uuid === uuid)?.state ?? "the agent does not know it";
        if (now === `SITE_MACHINE_STATE_${state}`) return;
      } catch (error) {
        now = (error as Error).message;
      }
      if (performance.now() > deadline) throw new Late(`${name} is ${state} by the agent's word`, deadlineMs, now);
      await delay(lookEveryMs);
    }
  }

  /** Resolves when the agent has carried it out. */
  async power({ uuid }: MachinePlan, action: "on" | "off"): Promise<void> {
    await this.#site(["power", uuid, action]);
  }

  async #site(words: readonly string[]): Promise<string> {
    const command = [process.execPath, cli, "site", ...words, "--socket", siteSocket(this.#plan)];
    return await run(command, { deadlineMs: orderDeadlineMs });
  }
}

type Machines = readonly { readonly uuid: string; readonly state: string }[];
