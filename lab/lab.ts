import { setMaxListeners } from "node:events";
import type { Artifacts, BuiltFiles } from "./artifacts.ts";
import { forgetState, type StoreConfig } from "./daemons.ts";
import { Datacenter } from "./datacenter.ts";
import { Holdfast } from "./holdfast.ts";
import type { LabOptions } from "./options.ts";
import type { LabPlan } from "./plan.ts";
import { Timeline } from "./timeline.ts";

/** What every task of the lab works with. */
export interface Lab {
  readonly options: LabOptions;
  readonly plan: LabPlan;
  readonly files: BuiltFiles;
  readonly artifacts: Artifacts;
  readonly store: StoreConfig;
  readonly timeline: Timeline;
  readonly datacenter: Datacenter;
  readonly print: (line: string) => void;
  /** Aborted by Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
}

export function makeLab(given: Omit<Lab, "timeline" | "datacenter">): Lab {
  setMaxListeners(0, given.signal);
  const begin = Date.now();
  const seconds = (atMs: number) => ((atMs - begin) / 1000).toFixed(1).padStart(7);
  const timeline = new Timeline((mark) => given.print(`${seconds(mark.atMs)} s  ${mark.machine}  ${mark.stage}`));
  given.signal.addEventListener("abort", () => timeline.changes.fail(interrupted()));
  const say = (machine: string, text: string) => {
    if (text.includes("ended")) given.print(`${seconds(Date.now())} s  ${machine}  ${text}`);
  };
  return { ...given, timeline, datacenter: new Datacenter(given.plan, timeline, say) };
}

const interrupted = () => new Error("interrupted");

/** Central and agent over the lab's datacenter; with `anew` they remember nothing. */
export async function startHoldfast(lab: Lab, memory: "anew" | "as left"): Promise<Holdfast> {
  if (memory === "anew") forgetState(lab.plan);
  const holdfast = new Holdfast(lab.plan, lab.store, lab.timeline, (name, how, log) => {
    const error = new Error(`${name} ended by itself (${how}); see ${log}`);
    lab.print(`          ${error.message}`);
    lab.timeline.changes.fail(error);
    holdfast.watch.changes.fail(error);
  });
  lab.signal.addEventListener("abort", () => holdfast.watch.changes.fail(interrupted()));
  try {
    await holdfast.start(lab.artifacts);
  } catch (error) {
    await holdfast.stop();
    throw error;
  }
  return holdfast;
}
