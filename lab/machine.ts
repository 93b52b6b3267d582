import { copyFileSync, existsSync, mkdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import {
  type Answer,
  type BootDevice,
  type Chassis,
  chassisOff,
  command,
  type PowerEffect,
  startUp,
} from "./chassis.ts";
import type { MachinePlan } from "./plan.ts";
import { type Running, start } from "./process.ts";
import { dataDiskGb, dataDiskOf, diskOf, ovmfVariables, qemuCommand, variablesOf } from "./qemu.ts";
import { Qmp } from "./qmp.ts";
import { SerialLine } from "./serial-line.ts";

/** What happened to a server, seen from outside of it. */
export type MachineSight =
  | { readonly kind: "on"; readonly boot: BootDevice }
  | { readonly kind: "off" }
  | { readonly kind: "guest-reset" }
  | { readonly kind: "guest-shutdown" }
  | { readonly kind: "died"; readonly why: string }
  | { readonly kind: "line"; readonly text: string };

export interface MachinePorts {
  /** Called with each sight as it happens. */
  readonly see: (machine: MachinePlan, sight: MachineSight) => void;
  /** The program that is the running server, for tests; QEMU without it. */
  readonly program?: (machine: MachinePlan, boot: BootDevice) => readonly string[];
  readonly hasKvm: boolean;
}

/** One virtual server: its chassis and, while it is on, its QEMU process. */
export class Machine {
  readonly plan: MachinePlan;
  readonly #ports: MachinePorts;
  readonly #qmp = new Qmp();
  readonly #serial = new SerialLine((typed) => this.#running?.write(typed));
  #chassis: Chassis = chassisOff;
  #running: Running | undefined;
  /** Effects are carried out one after the other, while the BMC has its answer already. */
  #queue: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(plan: MachinePlan, ports: MachinePorts) {
    this.plan = plan;
    this.#ports = ports;
  }

  get chassis(): Chassis {
    return this.#chassis;
  }

  async open(): Promise<void> {
    mkdirSync(this.plan.folder, { recursive: true });
    for (const [file, gb] of this.#disks) if (!existsSync(file)) blankDisk(file, gb);
    await this.#qmp.listen(this.plan.qmpPort);
    await this.#serial.listen(this.plan.serialPort);
  }

  /** Files, and their sizes in GiB. */
  get #disks(): readonly (readonly [string, number])[] {
    return [
      [diskOf(this.plan), this.plan.diskGb],
      [dataDiskOf(this.plan), dataDiskGb],
    ];
  }

  /** Power off, and everything that the machine ever stored is gone: a new server from the factory. */
  async makeNew(): Promise<void> {
    this.call(["0x20", "set", "power", "0"]);
    await this.#queue;
    rmSync(variablesOf(this.plan), { force: true });
    for (const [file, gb] of this.#disks) blankDisk(file, gb);
  }

  /** One call of the BMC's chassis program. */
  call(args: readonly string[]): Answer {
    const answer = command(this.#chassis, args);
    this.#accept(answer);
    return answer;
  }

  #accept(answer: Answer): void {
    this.#chassis = answer.chassis;
    for (const effect of answer.effects) this.#queue = this.#queue.then(() => this.#perform(effect));
  }

  async #perform(effect: PowerEffect): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running) {
      await running.stop("SIGKILL");
      this.#ports.see(this.plan, { kind: "off" });
    }
    if (effect.kind === "start" && !this.#isClosed) this.#start(effect.boot);
  }

  #start(boot: BootDevice): void {
    const { plan } = this;
    if (plan.firmware === "uefi" && !existsSync(variablesOf(plan)) && existsSync(ovmfVariables))
      copyFileSync(ovmfVariables, variablesOf(plan));
    const program = this.#ports.program?.(plan, boot) ?? qemuCommand(plan, boot, this.#ports.hasKvm);
    this.#ports.see(plan, { kind: "on", boot });
    const running = start(program, {
      name: plan.name,
      log: path.join(plan.folder, "serial.log"),
      stdin: "pipe",
      onOutput: (bytes) => this.#serial.say(bytes),
      onLine: (line) => this.#ports.see(plan, { kind: "line", text: plainText(line) }),
    });
    this.#running = running;
    running.exited.then(
      (exit) => this.#ended(running, exit.signal ?? `exit ${exit.code}`),
      (error: Error) => this.#ended(running, error.message),
    );
  }

  /** The process ended: by us (nothing to do), by the guest's reset (start again) or otherwise (off). */
  #ended(running: Running, how: string): void {
    if (this.#running !== running || this.#isClosed) return;
    this.#running = undefined;
    const reason = this.#qmp.takeReason();
    if (reason === "guest-reset") {
      this.#ports.see(this.plan, { kind: "guest-reset" });
      this.#accept(startUp(this.#chassis, []));
      return;
    }
    this.#chassis = { ...this.#chassis, isOn: false };
    this.#ports.see(this.plan, reason === "guest-shutdown" ? { kind: reason } : { kind: "died", why: how });
  }

  /** The server's process ends as by a crash of its host; the chassis learns it as it would learn that. */
  async endProgram(): Promise<void> {
    await this.#queue;
    await this.#running?.stop("SIGKILL");
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#queue;
    await this.#running?.stop("SIGKILL");
    this.#qmp.close();
    this.#serial.close();
  }
}

function blankDisk(file: string, gb: number): void {
  writeFileSync(file, "");
  truncateSync(file, gb * 2 ** 30);
}

// What a terminal would not show: escape sequences and other control characters.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
const controls = /\x1b\[[0-9;?=]*[ -/]*[@-~]|\x1b[!-~]|[\x00-\x08\x0b-\x1f\x7f]/g;

export const plainText = (line: string): string => line.replaceAll(controls, "").trimEnd();
