// Central, the control plane: composes its parts, starts them, and stops them in reverse.
import { configured, runDaemon } from "#lib/io/daemon.ts";
import { adminTokenConfigSchema, type CentralConfig, centralConfigSchema } from "./config.ts";
import { startCentral } from "./io/central.ts";
import { printAdminToken } from "./io/print-admin-token.ts";

if (process.argv[2] === "admin-token") await adminToken(process.argv.slice(3));
else {
  await runDaemon({
    name: "central",
    about: "Holdfast's control plane: the public API, the store, and the feed of the partitions' agents.",
    schema: centralConfigSchema,
    logLevel: (config: CentralConfig) => config.log.level,
    start: startCentral,
  });
}

async function adminToken(words: readonly string[]): Promise<void> {
  const config = await configured(
    {
      name: "central admin-token",
      about:
        "Makes a further token for an administrator, with central's own store. An embedded store wants central stopped.",
      schema: adminTokenConfigSchema,
    },
    words,
  );
  if (config === undefined) return;
  try {
    await printAdminToken(config.value, {
      print: (text) => process.stdout.write(text),
      warn: (text) => process.stderr.write(text),
    });
  } catch (error) {
    process.stderr.write(`central admin-token: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
