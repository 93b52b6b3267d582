import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { attempt } from "./process.ts";

// Who owns which namespace: one file per lab, named after its namespace. A lab that was killed leaves its file behind,
// and the next lab removes what it names. The start time tells a living owner from a stranger with the same process id.

const registry = "/run/holdfast-lab";

export interface Owner {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks between boot and the process's start. */
  readonly startTicks: string;
  readonly folder: string;
}

export function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

const isAlive = (owner: Owner): boolean => startTicksOf(owner.pid) === owner.startTicks;

/** Every lab of this machine that has an entry, by namespace. */
export function owners(): ReadonlyMap<string, Owner> {
  const found = new Map<string, Owner>();
  let names: string[];
  try {
    names = readdirSync(registry);
  } catch {
    return found;
  }
  for (const name of names) {
    try {
      found.set(name, JSON.parse(readFileSync(path.join(registry, name), "utf8")) as Owner);
    } catch {
      rmSync(path.join(registry, name), { force: true });
    }
  }
  return found;
}

/** Claims the namespace's name and the folder. @throws when another living lab has one of them */
export function claim(namespace: string, folder: string): void {
  for (const [name, owner] of owners()) {
    if (!isAlive(owner)) continue;
    if (name === namespace)
      throw new Error(`--name ${namespace}: the lab of process ${owner.pid} has this name; choose another one`);
    if (owner.folder === folder)
      throw new Error(`--dir ${folder}: the lab of process ${owner.pid} works there; choose another one`);
  }
  mkdirSync(registry, { recursive: true, mode: 0o755 });
  const owner: Owner = { pid: process.pid, startTicks: startTicksOf(process.pid) ?? "", folder };
  writeFileSync(path.join(registry, namespace), JSON.stringify(owner));
}

export function release(namespace: string): void {
  rmSync(path.join(registry, namespace), { force: true });
}

/** Removes namespaces and processes of labs whose owner is dead. @returns their names */
export async function removeLeftOvers(): Promise<readonly string[]> {
  const removed: string[] = [];
  for (const [namespace, owner] of owners()) {
    if (isAlive(owner)) continue;
    await removeNamespace(namespace);
    release(namespace);
    removed.push(namespace);
  }
  return removed;
}

/** Ends every process inside the namespace and deletes it; a namespace that is not there is no error. */
export async function removeNamespace(namespace: string): Promise<void> {
  const inside = await attempt(["ip", "netns", "pids", namespace]);
  if (inside.exit.code !== 0) return;
  for (const pid of inside.stdout.split("\n").filter((line) => line !== "")) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It ended by itself in the meantime.
    }
  }
  await attempt(["ip", "netns", "del", namespace]);
}
