import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { buildFiles } from "./artifacts.ts";
import { reasonOf } from "./checks.ts";
import type { Handover } from "./handover.ts";
import { type LabOptions, parseLabOptions, usage } from "./options.ts";
import { claim, release, removeLeftOvers, removeNamespace } from "./ownership.ts";
import { ensurePackages, missingPackages } from "./packages.ts";
import { labPlan } from "./plan.ts";
import { run } from "./process.ts";

// The lab's first process: what needs the outside world (packages, image builds), then the namespace and, inside of it,
// the second process, which does everything else.

const top = path.resolve(import.meta.dirname, "..");
const cache = path.join(top, ".cache/images");

process.exitCode = await main();

async function main(): Promise<number> {
  const parsed = parseLabOptions(process.argv.slice(2), process.pid);
  if (!parsed.ok) {
    for (const problem of parsed.error) console.error(`lab: ${problem}`);
    console.error("lab: --help lists the flags");
    return 2;
  }
  if (parsed.value === "help") {
    console.log(usage);
    return 0;
  }
  if (process.getuid?.() !== 0) {
    console.error("lab: network namespaces need root; run it as root");
    return 2;
  }
  try {
    return await inNamespace(parsed.value);
  } catch (error) {
    console.error(`lab: ${reasonOf(error)}`);
    return 1;
  }
}

async function inNamespace(options: LabOptions): Promise<number> {
  const { task, store } = options;
  const wanted = { etcd: store === "etcd", baseline: task === "baseline", autonomy: task === "autonomy" };
  await ensurePackages(missingPackages(wanted), options.yes);
  for (const name of await removeLeftOvers()) console.log(`removed what was left of lab ${name}`);
  const { name, folder } = labPlan(options);
  claim(name, folder);
  try {
    const handover = path.join(folder, "handover.json");
    prepareFolder(folder, handover, options.resume);
    const files = await buildFiles(cache, (text) => console.log(`built ${text}`));
    writeFileSync(handover, JSON.stringify({ options, files } satisfies Handover));
    await run(["ip", "netns", "add", name]);
    return await second(name, handover);
  } finally {
    await removeNamespace(name);
    release(name);
  }
}

/** Empties the folder of an earlier lab. @throws when the folder holds anything else, which is not the lab's to delete */
function prepareFolder(folder: string, mark: string, resume: boolean): void {
  const isUsed = existsSync(folder) && readdirSync(folder).length > 0;
  if (isUsed && !existsSync(mark)) throw new Error(`--dir ${folder}: has files that are no lab's; choose another one`);
  if (isUsed && !resume) rmSync(folder, { recursive: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}

/** Runs the second process to its end; when this one is killed, the kernel tells it to clean up. */
async function second(namespace: string, handover: string): Promise<number> {
  const program = [process.execPath, "--import", "tsx", path.join(import.meta.dirname, "inside-main.ts"), handover];
  const command = ["--pdeathsig", "TERM", "--", "ip", "netns", "exec", namespace, ...program];
  const child = spawn("setpriv", command, { stdio: "inherit", cwd: top });
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, forward);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}
