import { setMaxListeners } from "node:events";
import { type Artifacts, artifactsAt, type BuiltFiles, layBootPrograms, serveFiles } from "./artifacts.ts";
import { Core } from "./core.ts";
import { centralFolder, forgetState, type StoreConfig } from "./daemons.ts";
import { Datacenter } from "./datacenter.ts";
import { Etcd } from "./etcd.ts";
import { Holdfast } from "./holdfast.ts";
import type { LabOptions } from "./options.ts";
import { type LabPlan, labPlan } from "./plan.ts";
import { Timeline } from "./timeline.ts";

/** What every task of the lab works with. */
export interface Lab {
  readonly options: LabOptions;
  readonly plan: LabPlan;
  readonly files: BuiltFiles;
  readonly artifacts: Artifacts;
  readonly timeline: Timeline;
  readonly datacenter: Datacenter;
  /** Where central is, when that is not in the partition's own network. */
  readonly core: Core | undefined;
  readonly etcd: Etcd | undefined;
  readonly store: StoreConfig;
  readonly print: (line: string) => void;
  /** Aborted by Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
}

/** @param closing told of each thing that was opened, how to close it */
export async function openLab(
  given: Pick<Lab, "options" | "files" | "print" | "signal">,
  closing: (close: () => Promise<void>) => void,
): Promise<Lab> {
  const { options, files, print, signal } = given;
  setMaxListeners(0, signal);
  const plan = labPlan(options);
  const begin = Date.now();
  const seconds = (atMs: number) => ((atMs - begin) / 1000).toFixed(1).padStart(7);
  const timeline = new Timeline((mark) => print(`${seconds(mark.atMs)} s  ${mark.machine}  ${mark.stage}`));
  signal.addEventListener("abort", () => timeline.changes.fail(interrupted()));
  const say = (machine: string, text: string) => {
    if (text.includes("ended")) print(`${seconds(Date.now())} s  ${machine}  ${text}`);
  };
  const datacenter = new Datacenter(plan, timeline, say);
  closing(() => datacenter.close());
  await datacenter.open();
  const core = plan.isApart ? await Core.open(plan) : undefined;
  if (core) closing(() => core.close());
  const inside = core?.inside ?? [];
  const members = options.store === "etcd" ? (core ? 3 : 1) : 0;
  const etcd =
    members > 0 ? new Etcd(plan, { address: core ? plan.wan.core : "127.0.0.1", inside }, members) : undefined;
  if (etcd) closing(() => etcd.stop());
  await etcd?.start();
  layBootPrograms(plan, files);
  const images = serveFiles(plan, files, { address: plan.core, port: plan.imagePort, name: "images", inside });
  closing(async () => void (await images.running.stop("SIGTERM", 3000)));
  const store = etcd?.store ?? { kind: "embedded", folder: `${centralFolder(plan)}/store` };
  return { ...given, plan, artifacts: artifactsAt(plan, files), timeline, datacenter, core, etcd, store };
}

const interrupted = () => new Error("interrupted");

/** Central and agent over the lab's datacenter; with `anew` they remember nothing. */
export async function startHoldfast(lab: Lab, memory: "anew" | "as left"): Promise<Holdfast> {
  if (memory === "anew") forgetState(lab.plan);
  const holdfast = new Holdfast(
    lab.plan,
    { store: lab.store, inside: lab.core?.inside ?? [] },
    lab.timeline,
    (name, how, log) => {
      const error = new Error(`${name} ended by itself (${how}); see ${log}`);
      lab.print(`          ${error.message}`);
      lab.timeline.changes.fail(error);
      holdfast.watch.changes.fail(error);
    },
  );
  lab.signal.addEventListener("abort", () => holdfast.watch.changes.fail(interrupted()));
  try {
    await holdfast.start(lab.artifacts);
  } catch (error) {
    await holdfast.stop();
    throw error;
  }
  return holdfast;
}
