// The agent without sockets, files and clocks of its own: everything that it decides and remembers, over ports.
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Interceptor } from "@connectrpc/connect";
import { ImageClassification, ImageSchema } from "#gen/metalstack/api/v2/image_pb.ts";
import { Bell } from "#lib/bell.ts";
import type { Clock } from "#lib/clock.ts";
import type { Disk } from "#lib/disk.ts";
import type { Lifetime } from "#lib/lifetime.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { Reconciler } from "#lib/reconcile.ts";
import { refusals } from "#lib/rpc/refusal-to-connect.ts";
import { validation } from "#lib/rpc/validation.ts";
import { People, type TokenVerifier } from "./api/people.ts";
import type { ForPeople } from "./api/router.ts";
import { BmcDirectory, type DirectoryPorts } from "./bmc/directory.ts";
import { BootFiles, type FileCache } from "./boot/boot-files.ts";
import { BootTokens, type TokenSigner } from "./boot/boot-token.ts";
import { siteRoutes, siteServices } from "./boot/router.ts";
import { allDesired, partitionOf, type Site } from "./boot/site.ts";
import { Budgets } from "./budget/budgets.ts";
import { LocalRecords } from "./budget/local-records.ts";
import type { Joiner } from "./identity/joiner.ts";
import { HoldReport } from "./ledger/hold.ts";
import { Ledger, type LedgerListener } from "./ledger/ledger.ts";
import { SafeMode } from "./ledger/safe-mode.ts";
import { tellContradictions } from "./ledger/tell-contradictions.ts";
import { CentralTime } from "./link/central-time.ts";
import { Link, type SyncClient } from "./link/link.ts";
import { Lives } from "./link/lives.ts";
import type { MachineFacts } from "./machine/plan.ts";
import { MachineReconciler, type PortControl } from "./machine/reconciler.ts";
import { Observations } from "./observations/observations.ts";
import { Outbox } from "./outbox/outbox.ts";
import { AuditTrail } from "./site/audit.ts";
import { Consoles } from "./site/consoles.ts";
import { LocalOrders } from "./site/orders.ts";
import type { OnSiteParts } from "./site/service.ts";
import { switchControl } from "./switch/control.ts";
import { switchNames } from "./switch/names.ts";
import { reportSwitch } from "./switch/report.ts";
import type { SwitchDriver } from "./switch/switch.ts";

export interface AgentSettings {
  readonly partition: string;
  /** Base URL of the agent as machines reach it, without a trailing slash. */
  readonly url: string;
  readonly newMachines: MachineFacts["newMachines"];
  readonly bmc: { readonly addresses: readonly string[]; readonly pollMs: number; readonly searchMs: number };
  /** Absent: the site has no switch to drive. */
  readonly switch?: { readonly rack: string; readonly managementAddress: string; readonly provisioning: string };
}

export interface AgentPorts<Cache extends FileCache = FileCache> {
  readonly disk: Disk;
  readonly client: SyncClient;
  /** Present where central knows the agent by a certificate. */
  readonly joiner?: Joiner;
  /** Kernels, initrds and images; `isNeeded` is asked before one is thrown away. */
  readonly openCache: (isNeeded: (sha256: string) => boolean) => Promise<Cache>;
  readonly connectBmc: DirectoryPorts["connect"];
  /** Given when the settings have a switch. */
  readonly switchDriver?: SwitchDriver;
  readonly signer: (key: Uint8Array) => TokenSigner;
  readonly verifyToken: TokenVerifier;
  /** For those who make many agents: it takes a moment and can be shared. */
  readonly validate?: Interceptor;
  readonly lifetime: Lifetime;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface Agent<Cache extends FileCache = FileCache> {
  readonly site: Site;
  readonly files: BootFiles;
  readonly cache: Cache;
  readonly outbox: Outbox;
  readonly link: Link;
  /** For people on site. */
  readonly onSite: OnSiteParts;
  /** For the members of projects that have a budget here. */
  readonly forPeople: ForPeople;
  /** For installers. */
  readonly routes: ReturnType<typeof siteRoutes>;
  readonly interceptors: readonly Interceptor[];
  /** Begins to act. What serves the datacenter is up before. */
  readonly start: () => void;
}

/** Loads what the disk holds. Nothing is done to any machine before `start`. */
export async function composeAgent<Cache extends FileCache>(
  settings: AgentSettings,
  ports: AgentPorts<Cache>,
): Promise<Agent<Cache>> {
  const { partition, url } = settings;
  const { disk, joiner, clock, random, log, lifetime } = ports;
  const { signal } = lifetime;
  const bell = new Bell();
  const changed = { ledger: ((_kind, _id) => {}) as LedgerListener, machine: (_uuid: string) => {}, outbox: () => {} };
  const ledger = new Ledger(disk, log, (kind, id, items) => changed.ledger(kind, id, items));
  const outbox = await Outbox.open(disk, random, log, () => changed.outbox());
  const lives = await Lives.open({ disk, present: random.uuid(), log }, outbox.sequence);
  const observed = (uuid: string) => changed.machine(uuid);
  const observations = new Observations({ partition, disk, outbox, clock, log, changed: observed });
  const tokens = await BootTokens.open(disk, random, ports.signer);
  const safeMode = await SafeMode.open({ disk, ledger, clock, log, ended: () => wakeAll() });
  if (safeMode.isCopy) await outbox.becomeAnother();
  const locals = new LocalRecords({ disk, outbox, clock, log });
  const site: Site = { partition, url, ledger, observations, outbox, locals, tokens, safeMode, disk, bell, clock, log };
  const budgets = new Budgets({ site, random, changed: observed });
  const people = new People({ site, verify: ports.verifyToken });
  const hold = new HoldReport({ partition, ledger, observations, outbox, clock, log });
  const { cache, files } = await filesOf(site, ports);
  await forgetWaiting(observations);

  const centralTime = centralTimeOf(site, (uuid) => reconciler.enqueue(uuid));
  const link = linkOf(ports, { site, lives, safeMode, outbox, people, budgets, centralTime });
  const directory = directoryOf(settings, ports, observations, observed);
  const audit = new AuditTrail({ disk, outbox, clock, log });
  const { control, report } = switchOf(settings, ports, site, audit);
  const orders = new LocalOrders({ site, audit, wake: observed });
  const reconciler = reconcilerOf(settings, ports, { site, files, directory, control, orders, centralTime });
  lifetime.onStop("reconciler", () => reconciler.stopped());
  const useBoot = () => {
    const configured = partitionOf(site)?.bootConfiguration;
    files.useBoot(configured && { kernel: configured.kernelUrl, initrd: configured.imageUrl });
  };
  const wakeAll = () => {
    bell.ring();
    for (const { uuid } of [...allDesired(site), ...observations.list()]) reconciler.enqueue(uuid);
  };
  changed.outbox = () => link.wake();
  changed.machine = (uuid) => {
    bell.ring();
    reconciler.enqueue(uuid);
  };
  changed.ledger = (kind, id, items) => {
    bell.ring();
    if (kind === "machine") reconciler.enqueue(id);
    if (kind === "site-access") people.told();
    if (kind === "budget" || locals.machine(id) !== undefined) budgets.wake();
    if (kind === "partition") useBoot();
    if (kind === "image") prefetchImages(site, files);
    if (kind === "history" || kind === "held-history") hold.changed(items);
    if (kind === "contradictions") tell();
    if (kind === "history") wakeAll();
  };
  const tell = () =>
    void tellContradictions(site).catch((error: unknown) => log.error("contradictions-not-told", { error }));
  useBoot();
  prefetchImages(site, files);
  return {
    site,
    files,
    cache,
    outbox,
    link,
    onSite: {
      site,
      files,
      link,
      outbox,
      hold,
      bmcOf: (uuid) => directory.of(uuid),
      audit,
      orders,
      consoles: new Consoles({ audit, bmcOf: (uuid) => directory.of(uuid), random }),
      certificate: () => joiner?.status,
    },
    forPeople: { site, budgets, people, audit, random },
    routes: siteRoutes(site, files),
    interceptors: [refusals({ random, log }), ports.validate ?? validation(siteServices)],
    start() {
      wakeAll();
      // They may not have been told when the former life ended.
      tell();
      lifetime.own("safe-mode", safeMode.run(signal));
      lifetime.own("budgets", budgets.run(signal));
      lifetime.own("site-orders", orders.run(signal));
      lifetime.own("bmc-directory", directory.run(signal));
      if (report) lifetime.own("switch-report", report(signal));
      if (joiner) lifetime.own("joiner", joiner.run(signal));
      lifetime.own("link", link.run(signal));
    },
  };
}

function directoryOf(
  { bmc }: AgentSettings,
  { connectBmc: connect, lifetime, clock, log }: AgentPorts,
  observations: Observations,
  found: (uuid: string) => void,
): BmcDirectory {
  const directory = new BmcDirectory({ ...bmc, connect, observations, found, clock, log });
  lifetime.onStop("bmcs", () => directory.close());
  return directory;
}

/** Orders may have waited for it. */
const centralTimeOf = (site: Site, enqueue: (uuid: string) => void): CentralTime =>
  new CentralTime(site.clock, () => {
    for (const { uuid, orders } of allDesired(site)) if (orders.length > 0) enqueue(uuid);
  });

function linkOf(
  { client, clock, random, log }: AgentPorts,
  parts: {
    readonly site: Site;
    readonly lives: Lives;
    readonly safeMode: SafeMode;
    readonly outbox: Outbox;
    readonly people: People;
    readonly budgets: Budgets;
    readonly centralTime: CentralTime;
  },
): Link {
  const { site, lives, safeMode, outbox, people, budgets, centralTime } = parts;
  const { partition, ledger, observations } = site;
  return new Link({
    partition,
    lives,
    centralTime,
    client,
    ledger,
    outbox,
    told: () => observations.told.history,
    async tellAll(to) {
      if (observations.isTold(to)) return;
      await tellContradictions(site);
      // Before, so that none is lost when this life ends in between; after, because central has to know their machines.
      await budgets.tellAll();
      await observations.tellAll(to);
      await budgets.tellAll();
    },
    displaced: () => safeMode.displaced(),
    async recollect({ outdatedOutbox, entries }) {
      if (outdatedOutbox === outbox.id) {
        await safeMode.setBack();
        await outbox.becomeAnother();
      }
      await observations.recollect(entries);
    },
    async upToDate() {
      await safeMode.refreshed();
      await people.heard();
    },
    clock,
    random,
    log,
  });
}

function reconcilerOf(
  { newMachines }: AgentSettings,
  { lifetime, clock, random, log }: AgentPorts,
  parts: {
    readonly site: Site;
    readonly files: BootFiles;
    readonly directory: BmcDirectory;
    readonly control: PortControl;
    readonly orders: LocalOrders;
    readonly centralTime: CentralTime;
  },
): Reconciler {
  const { site, files, directory, control, orders, centralTime } = parts;
  const machines = new MachineReconciler({
    site,
    files,
    bmcOf: (uuid) => directory.of(uuid),
    ports: control,
    localOrders: (uuid) => orders.of(uuid),
    centralTime: () => centralTime.span,
    newMachines,
    listeningSinceMs: clock.wallMs(),
    clock,
    random,
    log,
  });
  return new Reconciler(
    {
      name: "machine",
      reconcile: (uuid, s) => machines.reconcile(uuid, s),
      failed: (uuid, error) => machines.failed(uuid, error),
      concurrency: 32,
      clock,
      random,
      log,
    },
    lifetime.signal,
  );
}

/** What may be asked for next is fetched before it is: an installation then waits for nobody, whether or not the source is up. */
function prefetchImages({ ledger, clock }: Site, files: BootFiles): void {
  for (const image of ledger.list("image", ImageSchema)) {
    const isOver = image.expiresAt !== undefined && timestampMs(image.expiresAt) < clock.wallMs();
    if (image.classification !== ImageClassification.DEPRECATED && !isOver) files.prefetch(image.url);
  }
}

async function filesOf<Cache extends FileCache>(
  site: Site,
  { openCache, clock, log, lifetime }: AgentPorts<Cache>,
): Promise<{ readonly cache: Cache; readonly files: BootFiles }> {
  // The cache is there before what asks for its content; nothing is evicted in between.
  const needed = { is: (_sha256: string) => true };
  const cache = await openCache((sha256) => needed.is(sha256));
  const files = new BootFiles(cache, site.url, clock, log, lifetime.signal);
  needed.is = (sha256) => files.isNeeded(sha256, allocatedImages(site));
  return { cache, files };
}

/** URLs of the images that present allocations are made of. */
const allocatedImages = (site: Site): readonly string[] =>
  allDesired(site).flatMap(({ allocation }) => allocation?.image?.url ?? []);

/** Streams of waiting installers ended with the former life of this agent. */
async function forgetWaiting(observations: Observations): Promise<void> {
  for (const { uuid, waiting } of observations.list()) {
    if (!waiting) continue;
    await observations.update(uuid, (m) => {
      m.waiting = false;
    });
  }
}

function switchOf(
  { switch: at }: AgentSettings,
  { switchDriver: driver, clock, random }: AgentPorts,
  site: Site,
  audit: AuditTrail,
): { readonly control: PortControl; readonly report?: (signal: AbortSignal) => Promise<void> } {
  if (!at || !driver) return { control: unmanaged };
  const names = switchNames(site.ledger, at.provisioning);
  return {
    control: switchControl(driver, names, (mac) => site.observations.byMac(mac)?.uuid, clock),
    report: (signal) =>
      reportSwitch(
        { ...site, ...at, driver, names, audit, random, isTrusted: () => site.safeMode.why === undefined },
        signal,
      ),
  };
}

const unmanaged: PortControl = {
  locate: async () => ({ kind: "unmanaged" }),
  move: async (port) => {
    throw new Error(`port ${port} cannot be moved: no switch is configured`);
  },
};
