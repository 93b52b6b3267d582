import { readFileSync } from "node:fs";
import { autonomy } from "./autonomy.ts";
import { baseline } from "./baseline.ts";
import { type Checks, reasonOf } from "./checks.ts";
import { adminTokenFile, caFile, centralUrl } from "./daemons.ts";
import { demo } from "./demo.ts";
import type { Handover } from "./handover.ts";
import { type Lab, openLab, startHoldfast } from "./lab.ts";
import { LiveView, labLines } from "./view.ts";

// The lab's second process, inside its network namespace: everything that runs is a child of it.

const { options, files } = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as Handover;
const view = new LiveView(process.stdout);
const stopping = stopOnSignal();
process.exitCode = await main();
// Whatever still holds the event loop is a child's pipe; its end is the kernel's business now.
process.exit();

async function main(): Promise<number> {
  /** What was opened, to be closed in reverse, also when opening the next one failed. */
  const closes: (() => Promise<void>)[] = [];
  let checks: Checks | undefined;
  try {
    const print = (line: string) => view.print(line);
    const lab = await openLab({ options, files, print, signal: stopping }, (close) => closes.push(close));
    if (options.task === "baseline") return await baseline(lab);
    checks = await withHoldfast(lab);
    return checks === undefined || checks.isGood ? 0 : 1;
  } catch (error) {
    if (!stopping.aborted) view.print(`lab: ${reasonOf(error)}`);
    return stopping.aborted && options.task === "stay" ? 0 : 1;
  } finally {
    view.close();
    for (const close of closes.reverse()) await close();
    // Last of all: a machine that still runs may have something to say after its journey.
    if (checks) view.print(checks.line);
  }
}

/** @returns what the journey was asked and how it came out, if the task is one */
async function withHoldfast(lab: Lab): Promise<Checks | undefined> {
  const holdfast = await startHoldfast(lab, options.resume ? "as left" : "anew");
  try {
    const journey = options.task === "demo" ? demo : options.task === "autonomy" ? autonomy : undefined;
    const checks = await journey?.(lab, holdfast);
    if (checks && options.keep) lab.print(checks.line);
    if (!checks || options.keep) await stay(lab, holdfast);
    return checks;
  } finally {
    view.close();
    await holdfast.stop();
  }
}

/** Shows the lab until somebody ends it. */
async function stay(lab: Lab, holdfast: Awaited<ReturnType<typeof startHoldfast>>): Promise<void> {
  const inNamespace = `ip netns exec ${lab.plan.name}`;
  const [token, ca] = [adminTokenFile(lab.plan), caFile(lab.plan)];
  lab.print(`API: ${centralUrl(lab.plan)} inside the namespace; token in ${token}, authority in ${ca}`);
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
