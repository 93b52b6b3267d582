import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { ChassisServer, startBmc } from "./bmc.ts";
import { Machine, type MachineSight } from "./machine.ts";
import { Leaf, makeNetwork } from "./network.ts";
import type { LabPlan, MachinePlan } from "./plan.ts";
import type { Running } from "./process.ts";
import { hasHardwareVirtualisation } from "./qemu.ts";
import { serialStage, type Timeline } from "./timeline.ts";

export type Say = (machine: string, text: string) => void;

/** The steel: network, leaf switch, servers and their BMCs. Whoever runs them (Holdfast, the baseline) comes on top. */
export class Datacenter {
  readonly plan: LabPlan;
  readonly machines: readonly Machine[];
  readonly bmcPassword: string;
  readonly #chassis: ChassisServer;
  #leaf: Leaf | undefined;
  readonly #bmcs: Running[] = [];

  constructor(plan: LabPlan, timeline: Timeline, say: Say) {
    this.plan = plan;
    mkdirSync(plan.folder, { recursive: true });
    this.bmcPassword = keptPassword(bmcPasswordFile(plan));
    const hasKvm = hasHardwareVirtualisation(readFileSync("/proc/cpuinfo", "utf8"), existsSync("/dev/kvm"));
    const see = (machine: MachinePlan, sight: MachineSight) => note(timeline, say, machine, sight);
    this.machines = plan.machines.map((m) => new Machine(m, { see, hasKvm }));
    this.#chassis = new ChassisServer(this.machines);
  }

  /** Must run inside the lab's namespace. */
  async open(): Promise<void> {
    await makeNetwork(this.plan);
    this.#leaf = new Leaf(this.plan);
    for (const machine of this.machines) await machine.open();
    await this.#chassis.listen(this.plan.chassisPort);
    for (const machine of this.plan.machines) if (!machine.isLate) this.plugIn(machine);
  }

  /** Gives a machine its mains: its BMC starts, and answers for it. */
  plugIn(machine: MachinePlan): void {
    this.#bmcs.push(startBmc(this.plan, machine, this.bmcPassword));
  }

  machine(uuid: string): Machine {
    const found = this.machines.find((m) => m.plan.uuid === uuid);
    if (!found) throw new Error(`no machine of the lab has the uuid ${uuid}`);
    return found;
  }

  async close(): Promise<void> {
    this.#chassis.close();
    await Promise.all([
      ...this.machines.map((m) => m.close()),
      ...this.#bmcs.map((b) => b.stop("SIGTERM", 2000)),
      this.#leaf?.stop(),
    ]);
  }
}

export const bmcPasswordFile = (plan: LabPlan): string => path.join(plan.folder, "bmc-password");

/** IPMI 2.0 passwords have at most 20 octets; older ciphers 16. */
function keptPassword(file: string): string {
  if (!existsSync(file)) writeFileSync(file, randomBytes(8).toString("hex"), { mode: 0o600 });
  return readFileSync(file, "utf8").trim();
}

function note(timeline: Timeline, say: Say, machine: MachinePlan, sight: MachineSight): void {
  const stage = sight.kind === "line" ? serialStage(sight.text) : powerStages[sight.kind];
  if (stage !== undefined) timeline.add({ machine: machine.name, stage, atMs: Date.now() });
  const words = wordsFor(machine, sight);
  if (words !== undefined) say(machine.name, words);
}

const powerStages = {
  on: "power on",
  off: "power off",
  "guest-reset": "reboot",
  "guest-shutdown": "power off",
  died: "power off",
} as const;

function wordsFor(machine: MachinePlan, sight: MachineSight): string | undefined {
  switch (sight.kind) {
    case "on":
      return sight.boot === "default" ? "power on" : `power on, boot from ${sight.boot}`;
    case "off":
      return "power off";
    case "guest-reset":
      return "the machine reset itself";
    case "guest-shutdown":
      return "the machine switched itself off";
    case "died":
      return `QEMU ended: ${sight.why}; see ${path.join(machine.folder, "serial.log")}`;
    case "line":
      return undefined;
  }
}
