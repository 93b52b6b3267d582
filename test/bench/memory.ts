import { readFileSync } from "node:fs";
import type { Growth } from "./protocol.ts";

/** @source proc(5), /proc/PID/status: VmRSS and RssAnon in kB */
function memoryNow(): Growth {
  const status = readFileSync("/proc/self/status", "utf8");
  const kb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
  return { resident: kb("VmRSS") * 1024, anonymous: kb("RssAnon") * 1024 };
}

/** From now on, by looking every 10 ms. */
export function startMemoryWatch(): { readonly growth: Growth; stop(): void } {
  const before = memoryNow();
  let peak = before;
  const timer = setInterval(() => {
    const now = memoryNow();
    peak = {
      resident: Math.max(peak.resident, now.resident),
      anonymous: Math.max(peak.anonymous, now.anonymous),
    };
  }, 10);
  return {
    get growth() {
      return { resident: peak.resident - before.resident, anonymous: peak.anonymous - before.anonymous };
    },
    stop: () => clearInterval(timer),
  };
}
