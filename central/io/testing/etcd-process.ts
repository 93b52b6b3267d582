// Real etcd processes on loopback, for tests and for the lab.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, fstatSync, mkdirSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export interface EtcdOptions {
  /** One folder per member is made in it, with its data and its log (`member-0/etcd.log`). */
  readonly dataDir: string;
  /** 1 unless said otherwise. */
  readonly members?: number;
  /** One per member; free ones are taken when absent. */
  readonly clientPorts?: readonly number[];
  readonly peerPorts?: readonly number[];
  /** Address to listen on; 127.0.0.1 unless said otherwise. */
  readonly host?: string;
  /** PEM files for the client port; with `ca`, clients must show a certificate of it. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  /** "none" trades safety against power loss for speed; a killed process still loses nothing. */
  readonly flush?: "disk" | "none";
  /** More of etcd's own flags. */
  readonly flags?: readonly string[];
}

export interface EtcdCluster {
  /** One URL per member. */
  readonly endpoints: readonly string[];
  /** SIGKILL, or another signal; resolves when the process is gone. */
  kill(member: number, signal?: NodeJS.Signals): Promise<void>;
  /** Starts a killed member again, on its data. */
  restart(member: number): Promise<void>;
  stop(): Promise<void>;
}

/** Why etcd cannot be started here; undefined when it can. For `{ skip }` of a test. */
export function etcdMissing(): string | undefined {
  const isHere = (process.env.PATH ?? "").split(":").some((folder) => existsSync(path.join(folder, "etcd")));
  return isHere ? undefined : "etcd is not installed (apt-get install etcd-server)";
}

/** Resolves when every member serves clients. */
export async function startEtcd(options: EtcdOptions): Promise<EtcdCluster> {
  const { dataDir, members = 1, host = "127.0.0.1", tls } = options;
  const ports = await freePorts(host, 2 * members);
  const clientPorts = options.clientPorts ?? ports.slice(0, members);
  const peerPorts = options.peerPorts ?? ports.slice(members);
  const clientUrl = (i: number) => `${tls ? "https" : "http"}://${host}:${clientPorts[i]}`;
  const peerUrl = (i: number) => `http://${host}:${peerPorts[i]}`;
  const indexes = Array.from({ length: members }, (_, i) => i);
  const cluster = indexes.map((i) => `member-${i}=${peerUrl(i)}`).join(",");
  const processes: ChildProcess[] = [];

  const start = async (i: number) => {
    const args = [
      ...["--name", `member-${i}`, "--data-dir", path.join(dataDir, `member-${i}`, "data")],
      ...["--listen-client-urls", clientUrl(i), "--advertise-client-urls", clientUrl(i)],
      ...["--listen-peer-urls", peerUrl(i), "--initial-advertise-peer-urls", peerUrl(i)],
      ...["--initial-cluster", cluster, "--initial-cluster-state", "new"],
      ...["--heartbeat-interval", "50", "--election-timeout", "500", "--logger", "zap", "--log-outputs", "stderr"],
      ...(options.flush === "none" ? ["--unsafe-no-fsync"] : []),
      ...(tls ? ["--cert-file", tls.cert, "--key-file", tls.key] : []),
      ...(tls?.ca === undefined ? [] : ["--client-cert-auth", "--trusted-ca-file", tls.ca]),
      ...(options.flags ?? []),
    ];
    mkdirSync(path.join(dataDir, `member-${i}`), { recursive: true, mode: 0o700 });
    const logFile = path.join(dataDir, `member-${i}`, "etcd.log");
    const log = openSync(logFile, "a");
    const logStart = fstatSync(log).size;
    const child = spawn("etcd", args, { stdio: ["ignore", "ignore", log] });
    closeSync(log);
    processes[i] = child;
    await isReady(child, logFile, logStart);
  };
  const kill = async (i: number, signal: NodeJS.Signals = "SIGKILL") => {
    const child = processes[i];
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  };
  const stop = async () => void (await Promise.all(indexes.map((i) => kill(i))));
  try {
    await Promise.all(indexes.map(start));
  } catch (error) {
    await stop();
    throw error;
  }
  return { endpoints: indexes.map(clientUrl), kill, restart: start, stop };
}

async function isReady(child: ChildProcess, logFile: string, logStart: number): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (child.exitCode !== null) throw new Error(`etcd ended with ${child.exitCode} at start: see ${logFile}`);
    const log = await readFile(logFile, "utf8");
    if (/"serving client traffic|serving insecure client/.test(log.slice(logStart))) return;
    await delay(50);
  }
  throw new Error(`etcd was not ready within 30 s: see ${logFile}`);
}

async function freePorts(host: string, count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    server.listen(0, host);
    await once(server, "listening");
    ports.push((server.address() as { readonly port: number }).port); // a TCP server's address has a port
  }
  for (const server of servers) {
    server.close();
    await once(server, "close");
  }
  return ports;
}
