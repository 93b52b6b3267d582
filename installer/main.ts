import { existsSync, readFileSync, writeSync } from "node:fs";
import { uptime } from "node:os";
import { startupSnapshot } from "node:v8";
import { systemClock } from "#lib/io/system-clock.ts";
import { systemRandom } from "#lib/io/system-random.ts";
import { bootArguments } from "./boot-arguments.ts";
import { agentTransport, transportOver } from "./io/http-client.ts";
import { realServer } from "./io/real-server.ts";
import { life } from "./life.ts";
import { rehearse } from "./rehearsal.ts";
import type { Say } from "./steps.ts";
import { version } from "./version.ts";

const say: Say = (step, text) => {
  writeSync(1, `HOLDFAST ${uptime().toFixed(2)} ${step} ${text.replaceAll("\n", "; ")}\n`);
};

async function main(): Promise<void> {
  say("installer", `${version} on node ${process.version}`);
  const boot = bootArguments(readFileSync("/proc/cmdline", "utf8"));
  if (!boot.ok) throw new Error(boot.error);
  // Written by the DHCP client's script; Node starts while the lease is fetched.
  while (!existsSync("/run/holdfast/network")) await systemClock.sleep(20);
  say("network", "up");
  const transport = agentTransport(boot.value.url, boot.value.token);
  await life(boot.value, { server: realServer(), transport, clock: systemClock, random: systemRandom, say, version });
}

/** Built into a snapshot of Node's heap (lab/images/bundle.ts), this runs when the snapshot is started; else at once. */
function start(): void {
  main().catch((error: unknown) => {
    say("crashed", error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exitCode = 1;
  });
}

if (startupSnapshot.isBuildingSnapshot()) {
  startupSnapshot.setDeserializeMainFunction(start);
  void rehearse(transportOver);
} else start();
