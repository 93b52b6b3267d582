import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { siteSocket } from "./daemons.ts";
import type { LabPlan, MachinePlan } from "./plan.ts";
import { run, start } from "./process.ts";
import { comesTrue, Late } from "./waiting.ts";

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
    const look = async () => {
      const machines = JSON.parse(await this.#site(["machines", "-o", "json"])) as Machines;
      const now = machines.find((m) => m.uuid === uuid)?.state ?? "the agent does not know it";
      if (now !== `SITE_MACHINE_STATE_${state}`) throw new Error(now);
    };
    await comesTrue(`${name} is ${state} by the agent's word`, deadlineMs, look, { everyMs: lookEveryMs });
  }

  /** Resolves when the agent has carried it out. */
  async power({ uuid }: MachinePlan, action: "on" | "off"): Promise<void> {
    await this.#site(["power", uuid, action]);
  }

  /** When the lease of a machine ends, ms since 1970; 0: it has none. */
  async leaseEndMs({ mac }: MachinePlan): Promise<number> {
    const leases = JSON.parse(await this.#site(["leases", "-o", "json"])) as Leases;
    return Date.parse(leases.find((l) => l.mac === mac)?.expiresAt ?? "") || 0;
  }

  /** What the agent waits for before it does what cannot be taken back; empty when for nothing. */
  async waitsFor(): Promise<string> {
    const status = JSON.parse(await this.#site(["status", "-o", "json"])) as { readonly safeMode?: string };
    return status.safeMode ?? "";
  }

  /** Presses Enter at a machine's console until it shows what is wanted, and leaves it. */
  async console({ name, uuid, folder }: MachinePlan, wanted: RegExp, deadlineMs: number): Promise<void> {
    let shown = "";
    const log = path.join(folder, "console.log");
    const keys = start(this.#command(["console", uuid]), {
      name: `console of ${name}`,
      log,
      stdin: "pipe",
      onOutput: (bytes) => {
        shown += Buffer.from(bytes).toString("latin1");
      },
    });
    try {
      const deadline = performance.now() + deadlineMs;
      while (!wanted.test(shown)) {
        if (!keys.isAlive) throw new Error(`the console of ${name} ended; see ${log}`);
        if (performance.now() > deadline)
          throw new Late(`${name} shows ${wanted} on its console`, deadlineMs, shown.slice(-200));
        keys.write(Buffer.from("\r"));
        await delay(lookEveryMs);
      }
      keys.write(Buffer.from("\r~."));
      await keys.exited;
    } finally {
      await keys.stop("SIGKILL");
    }
  }

  #command(words: readonly string[]): readonly string[] {
    return [process.execPath, cli, "site", ...words, "--socket", siteSocket(this.#plan)];
  }

  async #site(words: readonly string[]): Promise<string> {
    return await run(this.#command(words), { deadlineMs: orderDeadlineMs });
  }
}

type Leases = readonly { readonly mac?: string; readonly expiresAt?: string }[];
type Machines = readonly { readonly uuid: string; readonly state: string }[];
