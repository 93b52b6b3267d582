// Central, the control plane: composes its parts, starts them, and stops them in reverse.
import { runDaemon } from "#lib/io/daemon.ts";
import { type CentralConfig, centralConfigSchema } from "./config.ts";
import { startCentral } from "./io/central.ts";

await runDaemon({
  name: "central",
  about: "Holdfast's control plane: the public API, the store, and the feed of the partitions' agents.",
  schema: centralConfigSchema,
  logLevel: (config: CentralConfig) => config.log.level,
  start: startCentral,
});
