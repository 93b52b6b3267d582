import { readFileSync } from "node:fs";

/**
 * Marks a running process so that it is not mistaken for a later one with the same pid: `BOOT-ID/PID/START`, where START is in
 * clock ticks since boot (proc(5), /proc/PID/stat field 22).
 */
export const ownMark = (): string => `${bootId()}/${process.pid}/${startTicks(process.pid)}`;

/** @returns the pid of the marked process if it still runs */
export function runningPid(mark: string): number | undefined {
  const [boot = "", pid = "", start = ""] = mark.split("/");
  return boot === bootId() && startTicks(Number(pid)) === start ? Number(pid) : undefined;
}

const bootId = () => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

function startTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the name before it may hold anything
    return state === "Z" || state === "X" ? undefined : fields[18];
  } catch {
    return undefined;
  }
}
