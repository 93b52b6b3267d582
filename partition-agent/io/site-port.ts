// Where people on site reach the agent: a Unix socket always, an address with TLS when the configuration names one.
import { statfs } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { listen } from "#lib/io/one-port.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import type { Lifetime } from "#lib/lifetime.ts";
import { DiskLeases } from "#pxe-boot/dhcp/disk-leases.ts";
import type { AgentConfig } from "../config.ts";
import { socketAccess } from "../site/access.ts";
import { onSiteInterceptors, onSiteRoutes } from "../site/router.ts";
import type { OnSite, OnSiteParts } from "../site/service.ts";
import { clearSocketPath } from "./site-socket.ts";

/** People, not machines: more connections than this are no work but a fault. Answers hold all machines of a partition. */
const limits = { connectionsMax: 100, messageBytesMax: 64 << 20 } as const;

export async function openSitePort(config: AgentConfig, parts: OnSiteParts, lifetime: Lifetime): Promise<void> {
  const { disk, clock, log } = parts.site;
  const on: OnSite = {
    ...parts,
    ...ownVersion(),
    startedMs: clock.wallMs(),
    leases: () => new DiskLeases(disk, log).load(),
    diskSpace: () => spaceAt(config.dataDir),
    credential: undefined,
    random,
  };
  const socket = config.site.socket ?? path.join(config.dataDir, "site.sock");
  await clearSocketPath(socket);
  const server = await listen(
    { routes: onSiteRoutes(on), interceptors: onSiteInterceptors(on, socketAccess), limits, log },
    { socket },
  );
  lifetime.onStop("site-socket", () => server.stop());
  log.info("site-socket-open", { socket });
}

const ownVersion = (): { version: string } =>
  createRequire(import.meta.url)("../../package.json") as { version: string };

/** Of the file system that holds the folder. */
async function spaceAt(folder: string): Promise<{ freeBytes: number; sizeBytes: number }> {
  const { bavail, blocks, bsize } = await statfs(folder);
  return { freeBytes: bavail * bsize, sizeBytes: blocks * bsize };
}
