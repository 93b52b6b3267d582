import type { Holdfast } from "./holdfast.ts";
import type { Lab } from "./lab.ts";
import { currentStep, progressLine } from "./watch.ts";

export interface Row {
  readonly name: string;
  readonly firmware: string;
  readonly power: string;
  readonly stage: string;
  readonly seconds: number | undefined;
  readonly detail: string;
}

const heads = ["MACHINE", "FIRMWARE", "POWER", "STAGE", "SINCE", "WHAT"] as const;

/** A table with a head line; no line is wider than `width`. */
export function tableLines(rows: readonly Row[], width: number): readonly string[] {
  const cells = rows.map((r) => [
    r.name,
    r.firmware,
    r.power,
    r.stage,
    r.seconds === undefined ? "" : duration(r.seconds),
    r.detail,
  ]);
  const widths = heads.map((head, i) => Math.max(head.length, ...cells.map((c) => c[i]!.length)));
  return [heads, ...cells].map((line) =>
    line
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd()
      .slice(0, width),
  );
}

export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, "0")}s`;
  return `${Math.floor(whole / 3600)}h${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")}m`;
}

const redrawMs = 500;

/** The live table at the bottom of a terminal; what is printed in the meantime scrolls above it. */
export class LiveView {
  readonly #out: NodeJS.WriteStream;
  #drawn = 0;
  #lines: () => readonly string[] = () => [];
  #timer: NodeJS.Timeout | undefined;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  show(lines: () => readonly string[]): void {
    this.#lines = lines;
    this.#timer ??= setInterval(() => this.#draw(), redrawMs);
    this.#draw();
  }

  print(line: string): void {
    this.#clear();
    this.#out.write(`${line}\n`);
    if (this.#timer) this.#draw();
  }

  #clear(): void {
    // Up to the table's first line, and everything below it away (ECMA-48 CPL and ED).
    if (this.#drawn > 0) this.#out.write(`\x1b[${this.#drawn}F\x1b[J`);
    this.#drawn = 0;
  }

  #draw(): void {
    const lines = this.#lines();
    this.#clear();
    if (lines.length > 0) this.#out.write(`${lines.join("\n")}\n`);
    this.#drawn = lines.length;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#clear();
  }
}

/** Machines, daemons and the link between them, as they are now. */
export function labLines(lab: Lab, holdfast: Holdfast, width: number): readonly string[] {
  const rows = lab.datacenter.machines.map((machine): Row => {
    const { plan } = machine;
    const last = lab.timeline.marks.findLast((m) => m.machine === plan.name && !m.stage.startsWith(" "));
    const seen = holdfast.watch.get(plan.uuid);
    const step = currentStep(seen?.progress);
    return {
      name: seen?.machine.allocation?.name ? `${plan.name} ${seen.machine.allocation.name}` : plan.name,
      firmware: plan.firmware,
      power: machine.chassis.isOn ? "on" : "off",
      stage: step === undefined ? (last?.stage ?? "") : `${last?.stage} (${step})`,
      seconds: last === undefined ? undefined : (Date.now() - last.atMs) / 1000,
      detail: progressLine(seen),
    };
  });
  const daemon = (name: string, pid: number | undefined) => `${name} ${pid === undefined ? "down" : `up (pid ${pid})`}`;
  const api = `API ${holdfast.watch.isConnected ? "connected" : "away"}`;
  const daemons = [daemon("central", holdfast.central.pid), daemon("agent", holdfast.agent.pid), api];
  return ["", ...tableLines(rows, width), daemons.join(" · ").slice(0, width)];
}
