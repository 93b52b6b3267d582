// The partition-agent: composes its parts, starts them, and stops them in reverse.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { runDaemon } from "#lib/io/daemon.ts";
import { LmdbDisk } from "#lib/io/lmdb-disk.ts";
import { type AgentConfig, agentConfigSchema } from "./config.ts";
import { startAgent } from "./io/agent.ts";

await runDaemon({
  name: "partition-agent",
  about: "Runs one datacenter: boots, installs and switches its machines, with or without central.",
  schema: agentConfigSchema,
  logLevel: (config: AgentConfig) => config.log.level,
  start: async (config: AgentConfig, { log, lifetime }) => {
    const bmcPassword = await passwordOf(config);
    const disk = new LmdbDisk(path.join(config.dataDir, "state"));
    lifetime.onStop("disk", () => disk.close());
    await startAgent(config, { disk, bmcPassword, log, lifetime });
  },
});

async function passwordOf({ bmc: { passwordFile } }: AgentConfig): Promise<string> {
  if (passwordFile === undefined) return "";
  try {
    return (await readFile(passwordFile, "utf8")).trim();
  } catch (error) {
    throw new Error(`bmc.passwordFile ${passwordFile}: ${(error as Error).message}`);
  }
}
