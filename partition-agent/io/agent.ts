// Builds the agent from its parts and starts them: disk first, then what serves the datacenter, the link to central last,
// because nothing here waits for it.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { ImageClassification, ImageSchema } from "#gen/metalstack/api/v2/image_pb.ts";
import { Bell } from "#lib/bell.ts";
import type { Disk } from "#lib/disk.ts";
import { listen } from "#lib/io/one-port.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import type { Lifetime } from "#lib/lifetime.ts";
import type { Log } from "#lib/log.ts";
import { expandAddressRange } from "#lib/net/ipv4-range.ts";
import { Reconciler } from "#lib/reconcile.ts";
import { checked } from "#lib/result.ts";
import { refusals } from "#lib/rpc/refusal-to-connect.ts";
import { validation } from "#lib/rpc/validation.ts";
import { Secret } from "#lib/secret.ts";
import { DiskLeases } from "#pxe-boot/dhcp/disk-leases.ts";
import type { FileSource } from "#pxe-boot/files/file-source.ts";
import { startBootServer } from "#pxe-boot/io/boot-server.ts";
import { FolderSource } from "#pxe-boot/io/folder-source.ts";
import { BmcDirectory } from "../bmc/directory.ts";
import { RmcpBmc } from "../bmc/rmcp-bmc.ts";
import { parseBmcAddress } from "../bmc/transport.ts";
import { BootFiles } from "../boot/boot-files.ts";
import { bootPage } from "../boot/boot-page.ts";
import { BootTokens } from "../boot/boot-token.ts";
import { bootCatalog } from "../boot/catalog.ts";
import { phoneHome } from "../boot/phone-home.ts";
import { siteRoutes, siteServices } from "../boot/router.ts";
import { bootScript } from "../boot/script.ts";
import { partitionOf, type Site } from "../boot/site.ts";
import { bootServerConfig } from "../boot/subnets.ts";
import type { AgentConfig } from "../config.ts";
import type { ImageCache } from "../image/image-cache.ts";
import { Ledger } from "../ledger/ledger.ts";
import { Link } from "../link/link.ts";
import { MachineReconciler, type PortControl } from "../machine/reconciler.ts";
import { Observations } from "../observations/observations.ts";
import { Outbox } from "../outbox/outbox.ts";
import { switchControl } from "../switch/control.ts";
import { switchNames } from "../switch/names.ts";
import { reportSwitch } from "../switch/report.ts";
import { nodeBmcCrypto } from "./bmc-crypto.ts";
import { bootHttp } from "./boot-http.ts";
import { openImageCache } from "./image-cache.ts";
import { LinuxBridge } from "./linux-bridge.ts";
import { udpTransport } from "./rmcp-transport.ts";
import { syncClient } from "./sync-client.ts";

export interface AgentPorts {
  readonly disk: Disk;
  readonly bmcPassword: string;
  readonly log: Log;
  readonly lifetime: Lifetime;
}

export async function startAgent(config: AgentConfig, { disk, bmcPassword, log, lifetime }: AgentPorts): Promise<void> {
  const { partition, boot } = config;
  const { signal } = lifetime;
  const url = `http://${boot.address}:${boot.httpPort}`;
  const bell = new Bell();
  const changed = { ledger: (_kind: string, _id: string) => {}, machine: (_uuid: string) => {}, outbox: () => {} };
  const ledger = new Ledger(disk, log, (kind, id) => changed.ledger(kind, id));
  const outbox = await Outbox.open(disk, random, log, () => changed.outbox());
  const observations = new Observations({
    partition,
    disk,
    outbox,
    clock,
    log,
    changed: (uuid) => changed.machine(uuid),
  });
  const tokens = await BootTokens.open(disk, random);
  const site: Site = { partition, url, ledger, observations, tokens, disk, bell, clock, log };
  const { cache, files } = await filesOf(config, { url, ledger, log, signal });
  await forgetWaiting(observations);

  const link = linkOf(config, { ledger, outbox, log });
  const directory = bmcDirectory(config, bmcPassword, { observations, found: (uuid) => changed.machine(uuid), log });
  lifetime.onStop("bmcs", () => directory.close());
  const { control, report } = switchOf(config, { ledger, observations, outbox, log });
  const machines = new MachineReconciler({
    site,
    files,
    bmcOf: (uuid) => directory.of(uuid),
    ports: control,
    newMachines: config.bmc.newMachines,
    listeningSinceMs: clock.wallMs(),
    clock,
    log,
  });
  const reconciler = new Reconciler(
    {
      name: "machine",
      reconcile: (uuid, s) => machines.reconcile(uuid, s),
      failed: (uuid, error) => machines.failed(uuid, error),
      concurrency: 32,
      clock,
      random,
      log,
    },
    signal,
  );
  lifetime.onStop("reconciler", () => reconciler.stopped());
  const useBoot = () => {
    const configured = partitionOf(site)?.bootConfiguration;
    files.useBoot(configured && { kernel: configured.kernelUrl, initrd: configured.imageUrl });
  };
  changed.outbox = () => link.wake();
  changed.machine = (uuid) => {
    bell.ring();
    reconciler.enqueue(uuid);
  };
  changed.ledger = (kind, id) => {
    bell.ring();
    if (kind === "machine") reconciler.enqueue(id);
    if (kind === "partition") useBoot();
    if (kind === "image") prefetchImages(ledger, files);
  };
  useBoot();
  prefetchImages(ledger, files);

  await serve(config, { site, files, cache, disk, log, lifetime });
  for (const { uuid } of [...ledger.list("machine", MachineDesiredSchema), ...observations.list()])
    reconciler.enqueue(uuid);
  lifetime.own("bmc-directory", directory.run(signal));
  if (report) lifetime.own("switch-report", report(signal));
  lifetime.own("link", link.run(signal));
}

/** What may be asked for next is fetched before it is: an installation then waits for nobody, whether or not the source is up. */
function prefetchImages(ledger: Ledger, files: BootFiles): void {
  for (const image of ledger.list("image", ImageSchema)) {
    const isOver = image.expiresAt !== undefined && timestampMs(image.expiresAt) < clock.wallMs();
    if (image.classification !== ImageClassification.DEPRECATED && !isOver) files.prefetch(image.url);
  }
}

async function filesOf(
  { dataDir, imageCacheGigabytes }: AgentConfig,
  { url, ledger, log, signal }: { url: string; ledger: Ledger; log: Log; signal: AbortSignal },
): Promise<{ cache: ImageCache; files: BootFiles }> {
  // The cache is there before what asks for its content; nothing is evicted in between.
  const needed = { is: (_sha256: string) => true };
  const cache = await openImageCache(
    path.join(dataDir, "images"),
    { bytesMax: imageCacheGigabytes * 1e9, isNeeded: (sha256) => needed.is(sha256) },
    { clock, log },
  );
  const files = new BootFiles(cache, url, clock, log, signal);
  needed.is = (sha256) => files.isNeeded(sha256, allocatedImages(ledger));
  return { cache, files };
}

/** URLs of the images that present allocations are made of. */
const allocatedImages = (ledger: Ledger): readonly string[] =>
  ledger.list("machine", MachineDesiredSchema).flatMap(({ allocation }) => allocation?.image?.url ?? []);

/** Streams of waiting installers ended with the former life of this agent. */
async function forgetWaiting(observations: Observations): Promise<void> {
  for (const { uuid, waiting } of observations.list()) {
    if (!waiting) continue;
    await observations.update(uuid, (m) => {
      m.waiting = false;
    });
  }
}

function linkOf({ partition, central }: AgentConfig, parts: { ledger: Ledger; outbox: Outbox; log: Log }): Link {
  const client = syncClient({
    url: central.url,
    token: async () => (await readFile(central.tokenFile, "utf8")).trim(),
    ca: central.caFile,
  });
  return new Link({ partition, agent: random.uuid(), client, clock, random, ...parts });
}

function bmcDirectory(
  { bmc }: AgentConfig,
  password: string,
  parts: { observations: Observations; found: (uuid: string) => void; log: Log },
): BmcDirectory {
  const addresses = bmc.ranges.flatMap((range) => checked(expandAddressRange(range)));
  return new BmcDirectory({
    addresses,
    connect: (address) =>
      new RmcpBmc(
        { address: checked(parseBmcAddress(address)), user: bmc.user, password: new Secret(password) },
        { transport: udpTransport, crypto: nodeBmcCrypto, clock, random, log: parts.log },
      ),
    pollMs: bmc.pollSeconds * 1000,
    searchMs: bmc.searchSeconds * 1000,
    clock,
    ...parts,
  });
}

interface SwitchParts {
  readonly ledger: Ledger;
  readonly observations: Observations;
  readonly outbox: Outbox;
  readonly log: Log;
}

function switchOf(
  config: AgentConfig,
  parts: SwitchParts,
): { control: PortControl; report?: (signal: AbortSignal) => Promise<void> } {
  const { partition, boot } = config;
  if (!config.switch) return { control: unmanaged };
  const { id, rack, provisioningBridge, ports } = config.switch;
  const driver = new LinuxBridge({ id, provisioning: provisioningBridge, ports });
  const names = switchNames(parts.ledger, provisioningBridge);
  const reportPorts = { partition, rack, managementAddress: boot.address, driver, names, clock, ...parts };
  return {
    control: switchControl(driver, names, (mac) => parts.observations.byMac(mac)?.uuid, clock),
    report: (signal) => reportSwitch(reportPorts, signal),
  };
}

const unmanaged: PortControl = {
  locate: async () => ({ kind: "unmanaged" }),
  move: async (port) => {
    throw new Error(`port ${port} cannot be moved: no switch is configured`);
  },
};

interface ServeParts {
  readonly site: Site;
  readonly files: BootFiles;
  readonly cache: ImageCache;
  readonly disk: Disk;
  readonly log: Log;
  readonly lifetime: Lifetime;
}

async function serve(config: AgentConfig, { site, files, cache, disk, log, lifetime }: ServeParts): Promise<void> {
  const { boot } = config;
  const bootPrograms = firstOf(boot.programFolders.map((folder) => new FolderSource(folder)));
  const http = bootHttp({
    url: site.url,
    files: cache,
    bootPrograms,
    script: async (client, page) => bootPage(await bootScript(site, files, random, client), page),
    phoneHome: (token) => phoneHome(site, token),
    log,
  });
  const interceptors = [refusals({ random, log }), validation(siteServices)];
  const server = await listen(
    { routes: siteRoutes(site, files), interceptors, http, log },
    { host: boot.address, port: boot.httpPort },
  );
  lifetime.onStop("port", () => server.stop());
  const leases = new DiskLeases(disk, log);
  const bootServer = await startBootServer(bootServerConfig(config, site.url), {
    catalog: bootCatalog(site),
    leases,
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
