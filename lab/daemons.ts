import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { stringify } from "yaml";
import { ipv4Text } from "#lib/net/ipv4.ts";
import { bmcPasswordFile } from "./datacenter.ts";
import type { LabPlan } from "./plan.ts";
import { type Running, start } from "./process.ts";
import { Late } from "./waiting.ts";

const top = path.resolve(import.meta.dirname, "..");

interface DaemonSpec {
  readonly name: string;
  readonly main: string;
  readonly config: string;
  readonly log: string;
  /** Put before the command, to run it elsewhere. */
  readonly inside?: readonly string[];
  /** Accepts connections there when it is up. */
  readonly address: string;
  readonly port: number;
}

const upDeadlineMs = 60_000;
const stopDeadlineMs = 10_000;
const retryMs = 100;

/** One of our daemons as the process that it is in production, to be killed and started again at will. */
export class Daemon {
  readonly spec: DaemonSpec;
  readonly #ended: (daemon: Daemon, how: string) => void;
  #running: Running | undefined;

  /** @param ended called when it ends without being told to */
  constructor(spec: DaemonSpec, ended: (daemon: Daemon, how: string) => void) {
    this.spec = spec;
    this.#ended = ended;
  }

  get pid(): number | undefined {
    return this.#running?.isAlive ? this.#running.pid : undefined;
  }

  /** Resolves when it accepts connections. @throws when it ends or is not up in time */
  async start(): Promise<void> {
    const { name, main, config, log, address, port, inside = [] } = this.spec;
    const command = [...inside, process.execPath, "--import", "tsx", path.join(top, main), "--config", config];
    const running = start(command, { name, log });
    this.#running = running;
    running.exited.then(
      (exit) => this.#noteEnd(running, exit.signal ?? `exit ${exit.code}`),
      (error: Error) => this.#noteEnd(running, error.message),
    );
    const deadline = performance.now() + upDeadlineMs;
    while (!(await accepts(address, port))) {
      if (!running.isAlive) throw new Error(`${name} ended while starting; see ${log}`);
      if (performance.now() > deadline) throw new Late(`${name} listens at ${address}:${port}`, upDeadlineMs, "");
      await delay(retryMs);
    }
  }

  #noteEnd(running: Running, how: string): void {
    if (this.#running !== running) return;
    this.#running = undefined;
    this.#ended(this, how);
  }

  /** The hard way: what a power cut does to it. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.stop(signal, stopDeadlineMs);
  }
}

/** Whether somebody accepts a TCP connection there. */
export function accepts(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const end = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.setTimeout(1000, () => end(false));
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}

export const centralFolder = (plan: LabPlan): string => path.join(plan.folder, "central");
export const agentFolder = (plan: LabPlan): string => path.join(plan.folder, "agent");
export const adminTokenFile = (plan: LabPlan): string => path.join(centralFolder(plan), "admin-token");
/** The authority that central is known by. */
export const caFile = (plan: LabPlan): string => path.join(centralFolder(plan), "ca.pem");
export const joinTokenFile = (plan: LabPlan): string => path.join(agentFolder(plan), "join-token");
export const centralUrl = (plan: LabPlan): string => `https://${plan.core}:${plan.centralPort}`;
/** Central as people reach it, whatever becomes of the agent's way there. */
export const deskAddress = (plan: LabPlan): string => (plan.isApart ? plan.wan.core : plan.core);
export const deskUrl = (plan: LabPlan): string => `https://${deskAddress(plan)}:${plan.centralPort}`;

/** Where the agent listens for people on site. */
export const siteSocket = (plan: LabPlan): string => path.join(agentFolder(plan), "data/site.sock");
/** Where it serves members of projects, and what it is known by there. */
export const siteApiUrl = (plan: LabPlan): string => `https://${plan.provisioning.address}:${plan.siteApiPort}`;
export const siteCertificateFile = (plan: LabPlan): string => path.join(agentFolder(plan), "data/site-certificate.pem");

/** Boot programs that Debian has no package for. */
export const bootProgramFolder = (plan: LabPlan): string => path.join(plan.folder, "boot-programs");

export type StoreConfig =
  | { readonly kind: "embedded"; readonly folder: string }
  | { readonly kind: "etcd"; readonly endpoints: readonly string[] };

/** Where central runs and what it stores in. */
export interface CentralPlace {
  readonly store: StoreConfig;
  readonly inside: readonly string[];
}

export const centralConfig = (plan: LabPlan, store: StoreConfig) => ({
  listen: { host: plan.isApart ? "0.0.0.0" : plan.core, port: plan.centralPort },
  tls: { names: [...new Set([plan.core, deskAddress(plan)])], caFile: caFile(plan) },
  store,
  adminTokenFile: adminTokenFile(plan),
  log: { level: "debug" },
});

export const agentConfig = (plan: LabPlan) => {
  const { provisioning, management } = plan;
  return {
    partition: plan.partition,
    dataDir: path.join(agentFolder(plan), "data"),
    central: { joinTokenFile: joinTokenFile(plan) },
    boot: {
      address: provisioning.address,
      httpPort: plan.agentPort,
      programFolders: [bootProgramFolder(plan), "/usr/lib/ipxe"],
      subnets: [
        {
          network: `${ipv4Text(provisioning.prefix.network)}/${provisioning.prefix.length}`,
          from: provisioning.from,
          to: provisioning.to,
          router: provisioning.address,
          dns: [],
          // As short as it may be: servers that wait renew theirs every minute.
          leaseSeconds: 120,
        },
      ],
    },
    bmc: {
      ranges: [`${management.firstBmc}-${management.lastBmc}`],
      user: plan.bmcUser,
      passwordFile: bmcPasswordFile(plan),
      pollSeconds: 10,
      searchSeconds: 1,
      newMachines: "power on",
    },
    switch: {
      id: plan.switchId,
      rack: plan.rack,
      provisioningBridge: provisioning.bridge,
      ports: plan.machines.map((m) => m.tap),
    },
    site: { address: provisioning.address, apiPort: plan.siteApiPort },
    log: { level: "debug" },
  };
};

/** Forgets what both daemons ever stored, but for the images: a new datacenter under a new central. */
export function forgetState(plan: LabPlan): void {
  rmSync(centralFolder(plan), { recursive: true, force: true });
  for (const gone of ["config.yaml", "join-token", "data/state"])
    rmSync(path.join(agentFolder(plan), gone), { recursive: true, force: true });
}

export function centralDaemon(plan: LabPlan, place: CentralPlace, ended: (d: Daemon, how: string) => void): Daemon {
  const folder = centralFolder(plan);
  return daemon(plan, folder, centralConfig(plan, place.store), ended, {
    name: "central",
    main: "central/main.ts",
    inside: place.inside,
    address: deskAddress(plan),
    port: plan.centralPort,
  });
}

export function agentDaemon(plan: LabPlan, ended: (d: Daemon, how: string) => void): Daemon {
  return daemon(plan, agentFolder(plan), agentConfig(plan), ended, {
    name: "agent",
    main: "partition-agent/main.ts",
    address: plan.provisioning.address,
    port: plan.agentPort,
  });
}

function daemon(
  plan: LabPlan,
  folder: string,
  config: object,
  ended: (d: Daemon, how: string) => void,
  rest: Omit<DaemonSpec, "config" | "log">,
): Daemon {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, "config.yaml");
  writeFileSync(file, stringify(config));
  return new Daemon({ ...rest, config: file, log: path.join(plan.folder, `${rest.name}.log`) }, ended);
}
