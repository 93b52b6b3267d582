// Gives the agent its ports on this host, serves the datacenter, and starts it: the link to central last, because nothing here
// waits for it.
import path from "node:path";
import type { Disk } from "#lib/disk.ts";
import { listen } from "#lib/io/one-port.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import type { Lifetime } from "#lib/lifetime.ts";
import type { Log } from "#lib/log.ts";
import { expandAddressRange } from "#lib/net/ipv4-range.ts";
import { checked } from "#lib/result.ts";
import { Secret } from "#lib/secret.ts";
import { DiskLeases } from "#pxe-boot/dhcp/disk-leases.ts";
import type { FileSource } from "#pxe-boot/files/file-source.ts";
import { startBootServer } from "#pxe-boot/io/boot-server.ts";
import { FolderSource } from "#pxe-boot/io/folder-source.ts";
import { type Agent, type AgentSettings, composeAgent } from "../agent.ts";
import { verifyJwt } from "../api/jwt-verifier.ts";
import { RmcpBmc } from "../bmc/rmcp-bmc.ts";
import { parseBmcAddress } from "../bmc/transport.ts";
import { authorizedKeys } from "../boot/authorized-keys.ts";
import { bootPage } from "../boot/boot-page.ts";
import { bootCatalog } from "../boot/catalog.ts";
import { jwtSigner } from "../boot/jwt-signer.ts";
import { phoneHome } from "../boot/phone-home.ts";
import { bootScript } from "../boot/script.ts";
import { bootServerConfig } from "../boot/subnets.ts";
import type { AgentConfig } from "../config.ts";
import type { ImageCache } from "../image/image-cache.ts";
import { nodeBmcCrypto } from "./bmc-crypto.ts";
import { bootHttp } from "./boot-http.ts";
import { centralAccess } from "./central-access.ts";
import { openImageCache } from "./image-cache.ts";
import { LinuxBridge } from "./linux-bridge.ts";
import { udpTransport } from "./rmcp-transport.ts";
import { openSitePort } from "./site-port.ts";

export interface HostPorts {
  readonly disk: Disk;
  readonly bmcPassword: string;
  readonly log: Log;
  readonly lifetime: Lifetime;
}

export async function startAgent(config: AgentConfig, ports: HostPorts): Promise<void> {
  const { dataDir, imageCacheGigabytes, bmc } = config;
  const { disk, bmcPassword, log, lifetime } = ports;
  const agent = await composeAgent(settingsOf(config), {
    disk,
    ...(await centralAccess(config, { disk, clock, random, log })),
    openCache: (isNeeded) =>
      openImageCache(path.join(dataDir, "images"), { bytesMax: imageCacheGigabytes * 1e9, isNeeded }, { clock, log }),
    connectBmc: (address) =>
      new RmcpBmc(
        { address: checked(parseBmcAddress(address)), user: bmc.user, password: new Secret(bmcPassword) },
        { transport: udpTransport, crypto: nodeBmcCrypto, clock, random, log },
      ),
    ...(config.switch && { switchDriver: bridgeOf(config.switch) }),
    signer: jwtSigner,
    verifyToken: verifyJwt,
    lifetime,
    clock,
    random,
    log,
  });
  await openSitePort(config, agent, lifetime);
  await serve(config, agent, ports);
  agent.start();
}

function settingsOf({ partition, boot, bmc, switch: at }: AgentConfig): AgentSettings {
  return {
    partition,
    url: `http://${boot.address}:${boot.httpPort}`,
    newMachines: bmc.newMachines,
    bmc: {
      addresses: bmc.ranges.flatMap((range) => checked(expandAddressRange(range))),
      pollMs: bmc.pollSeconds * 1000,
      searchMs: bmc.searchSeconds * 1000,
    },
    ...(at && {
      switch: { rack: at.rack, managementAddress: boot.address, provisioning: at.provisioningBridge },
    }),
  };
}

const bridgeOf = ({ id, provisioningBridge, ports }: NonNullable<AgentConfig["switch"]>): LinuxBridge =>
  new LinuxBridge({ id, provisioning: provisioningBridge, ports });

async function serve(config: AgentConfig, agent: Agent<ImageCache>, { disk, log, lifetime }: HostPorts): Promise<void> {
  const { boot } = config;
  const { site, files, cache, routes, interceptors } = agent;
  const bootPrograms = firstOf(boot.programFolders.map((folder) => new FolderSource(folder)));
  const http = bootHttp({
    url: site.url,
    files: cache,
    bootPrograms,
    script: async (client, page) => bootPage(await bootScript(site, files, random, client), page),
    phoneHome: (token) => phoneHome(site, token),
    authorizedKeys: (token) => authorizedKeys(site, token),
    log,
  });
  const server = await listen({ routes, interceptors, http, log }, { host: boot.address, port: boot.httpPort });
  lifetime.onStop("port", () => server.stop());
  const bootServer = await startBootServer(bootServerConfig(config, site.url), {
    catalog: bootCatalog(site),
    leases: new DiskLeases(disk, log),
    files: bootPrograms,
    clock,
    log,
  });
  lifetime.onStop("boot-server", () => bootServer.stop());
}

/** A name is looked for in one source after the other. */
const firstOf = (sources: readonly FileSource[]): FileSource => ({
  async open(name) {
    for (const source of sources) {
      const file = await source.open(name);
      if (file) return file;
    }
    return undefined;
  },
});
