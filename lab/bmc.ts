import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { bmcFiles } from "./bmc-config.ts";
import { fruInventory } from "./fru.ts";
import type { Machine } from "./machine.ts";
import type { LabPlan, MachinePlan } from "./plan.ts";
import { type Running, start } from "./process.ts";

/** A real IPMI 2.0 BMC (ipmi_sim) at the machine's management address. */
export function startBmc(plan: LabPlan, machine: MachinePlan, password: string): Running {
  const folder = path.join(machine.folder, "bmc");
  // ipmi_sim keeps users and event log there; a new lab begins with the configured user.
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.join(folder, "state"), { recursive: true, mode: 0o700 });
  const files = bmcFiles(plan, machine, folder, password);
  writeFileSync(path.join(folder, "lan.conf"), files.lanConf, { mode: 0o600 });
  writeFileSync(path.join(folder, "ipmi.emu"), files.emulator);
  writeFileSync(path.join(folder, "fru.bin"), fruInventory(fruOf(machine)));
  for (const [name, text] of [
    ["chassis.sh", files.chassis],
    ["lan-parameters.sh", files.lanParameters],
  ] as const) {
    writeFileSync(path.join(folder, name), text);
    chmodSync(path.join(folder, name), 0o755);
  }
  const file = (name: string): string => path.join(folder, name);
  return start(["ipmi_sim", "-n", "-c", file("lan.conf"), "-f", file("ipmi.emu"), "-s", file("state")], {
    name: `BMC of ${machine.name}`,
    log: file("ipmi_sim.log"),
  });
}

const fruOf = (machine: MachinePlan) => ({
  manufacturer: "Holdfast Lab",
  product: "Lab Server",
  partNumber: "HF-LAB-1",
  serial: machine.serial,
});

const lineMax = 512;

/** Answers the chassis programs: one line `NAME ARGUMENT…` in, lines out, then `done` or `error WHY`. */
export class ChassisServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(machines: readonly Machine[]) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => this.#sockets.delete(socket));
      createInterface({ input: socket }).once("line", (line) => socket.end(answer(machines, line)));
    });
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", resolve);
    });
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

function answer(machines: readonly Machine[], line: string): string {
  const [name, ...args] = line.slice(0, lineMax).trim().split(/\s+/);
  const machine = machines.find((m) => m.plan.name === name);
  if (!machine) return `error machine ${name} is not known\n`;
  const { lines, error } = machine.call(args);
  return `${[...lines, error === undefined ? "done" : `error ${error}`].join("\n")}\n`;
}
