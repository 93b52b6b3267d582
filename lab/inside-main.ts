import { readFileSync } from "node:fs";
import { artifactsAt, layBootPrograms, serveFiles } from "./artifacts.ts";
import { baseline } from "./baseline.ts";
import { reasonOf } from "./checks.ts";
import { adminTokenFile, centralUrl, type StoreConfig } from "./daemons.ts";
import { demo } from "./demo.ts";
import { etcdStore, startEtcd } from "./etcd.ts";
import type { Handover } from "./handover.ts";
import { type Lab, makeLab, startHoldfast } from "./lab.ts";
import { labPlan } from "./plan.ts";
import type { Running } from "./process.ts";
import { LiveView, labLines } from "./view.ts";

// The lab's second process, inside its network namespace: everything that runs is a child of it.

const { options, files } = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as Handover;
const view = new LiveView(process.stdout);
const stopping = stopOnSignal();
process.exitCode = await main();
// Whatever still holds the event loop is a child's pipe; its end is the kernel's business now.
process.exit();

async function main(): Promise<number> {
  const plan = labPlan(options);
  const children: Running[] = [];
  let lab: Lab | undefined;
  try {
    const embedded: StoreConfig = { kind: "embedded", folder: `${plan.folder}/central/store` };
    const store = options.store === "etcd" ? etcdStore : embedded;
    const print = (line: string) => view.print(line);
    const artifacts = artifactsAt(plan, files);
    lab = makeLab({ options, plan, files, artifacts, store, print, signal: stopping });
    await lab.datacenter.open();
    if (options.store === "etcd") children.push(await startEtcd(plan));
    layBootPrograms(plan, files);
    const images = { address: plan.core, port: plan.imagePort, name: "images" };
    children.push(serveFiles(plan, files, images).running);
    return options.task === "baseline" ? await baseline(lab) : await withHoldfast(lab);
  } catch (error) {
    if (!stopping.aborted) view.print(`lab: ${reasonOf(error)}`);
    return stopping.aborted && options.task === "stay" ? 0 : 1;
  } finally {
    view.close();
    await lab?.datacenter.close();
    await Promise.all(children.map((c) => c.stop("SIGTERM", 3000)));
  }
}

async function withHoldfast(lab: Lab): Promise<number> {
  const holdfast = await startHoldfast(lab, options.resume ? "as left" : "anew");
  try {
    if (options.task === "demo") {
      const checks = await demo(lab, holdfast);
      lab.print(checks.line);
      if (options.keep) await stay(lab, holdfast);
      return checks.isGood ? 0 : 1;
    }
    await stay(lab, holdfast);
    return 0;
  } finally {
    view.close();
    await holdfast.stop();
  }
}

/** Shows the lab until somebody ends it. */
async function stay(lab: Lab, holdfast: Awaited<ReturnType<typeof startHoldfast>>): Promise<void> {
  const inNamespace = `ip netns exec ${lab.plan.name}`;
  lab.print(`API: ${centralUrl(lab.plan)} inside the namespace; token in ${adminTokenFile(lab.plan)}`);
  lab.print(`try: ${inNamespace} npx holdfast machine list        Ctrl-C ends the lab`);
  if (process.stdout.isTTY) view.show(() => labLines(lab, holdfast, process.stdout.columns ?? 80));
  if (stopping.aborted) return;
  await new Promise((resolve) => stopping.addEventListener("abort", resolve, { once: true }));
}

/** A terminal sends Ctrl-C to both of the lab's processes and the first one forwards it, so that one press may come twice. */
function stopOnSignal(): AbortSignal {
  const controller = new AbortController();
  let firstMs = 0;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      if (firstMs === 0) firstMs = Date.now();
      if (Date.now() - firstMs > 1000) process.exit(130);
      controller.abort();
    });
  }
  return controller.signal;
}
