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
    const disk = new LmdbDisk(path.join(config.dataDir, "state"));
    lifetime.onStop("disk", () => disk.close());
    const bmcPassword = config.bmc.passwordFile ? (await readFile(config.bmc.passwordFile, "utf8")).trim() : "";
    await startAgent(config, { disk, bmcPassword, log, lifetime });
  },
});
