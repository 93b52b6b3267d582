// Network namespaces of our own for tests against real DHCP clients: nothing of it is seen by the host's network.
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Why a test that needs root and these programs cannot run; undefined when it can. */
export function missing(programs: Readonly<Record<string, string>>): string | undefined {
  if (process.getuid?.() !== 0) return "needs root to make network namespaces";
  for (const [program, debianPackage] of Object.entries({ ip: "iproute2", ...programs })) {
    try {
      execFileSync("sh", ["-c", `command -v ${program}`]);
    } catch {
      return `${program} is not installed (apt-get install ${debianPackage})`;
    }
  }
  return undefined;
}

/** Some namespaces and the cables between them; `close` ends what was started in them and removes all. */
export class Wiring {
  readonly #prefix: string;
  readonly #names: string[] = [];
  readonly #children: ChildProcess[] = [];

  constructor(name: string) {
    this.#prefix = `hf${name}${process.pid}`;
  }

  async space(name: string): Promise<void> {
    const full = this.#full(name);
    await run("ip", ["netns", "add", full]);
    this.#names.push(full);
    await run("ip", ["-n", full, "link", "set", "lo", "up"]);
  }

  /** A cable: interface `e0` and so on in each, with addresses such as `10.0.0.1/24` where given. */
  async cable(a: Plug, b: Plug): Promise<void> {
    await run("ip", [
      ...["link", "add", a.port, "netns", this.#full(a.space), "type", "veth"],
      ...["peer", "name", b.port, "netns", this.#full(b.space)],
    ]);
    for (const { space, port, address, mac } of [a, b]) {
      const ip = (...rest: string[]) => run("ip", ["-n", this.#full(space), ...rest]);
      if (mac) await ip("link", "set", port, "address", mac);
      if (address) await ip("addr", "add", address, "dev", port);
      await ip("link", "set", port, "up");
    }
  }

  /** Joins ports of a space to one wire. */
  async bridge(space: string, ports: readonly string[]): Promise<void> {
    const ip = (...rest: string[]) => run("ip", ["-n", this.#full(space), "link", ...rest]);
    await ip("add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0");
    for (const port of ports) await ip("set", port, "master", "br0");
    await ip("set", "br0", "up");
  }

  async route(space: string, to: string, via: string): Promise<void> {
    await run("ip", ["-n", this.#full(space), "route", "add", to, "via", via]);
  }

  /** Output of a program; what it prints is given even when it fails. */
  async run(space: string, program: string, args: readonly string[], timeoutMs = 20_000): Promise<string> {
    try {
      const { stdout, stderr } = await run("ip", ["netns", "exec", this.#full(space), program, ...args], {
        timeout: timeoutMs,
      });
      return stdout + stderr;
    } catch (error) {
      const { stdout = "", stderr = "", message } = error as { stdout?: string; stderr?: string; message: string };
      return `${stdout}${stderr}${message}`;
    }
  }

  /** Starts a program and waits until it has printed the line `ready`, on either output. */
  async start(space: string, program: string, args: readonly string[], ready: RegExp): Promise<ChildProcess> {
    const child = spawn("ip", ["netns", "exec", this.#full(space), program, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.push(child);
    let said = "";
    await new Promise<void>((resolve, reject) => {
      const hear = (text: Buffer) => {
        said += text.toString();
        if (ready.test(said)) resolve();
      };
      child.stdout?.on("data", hear);
      child.stderr?.on("data", hear);
      child.once("exit", (code) => reject(new Error(`${program} ended with ${code}: ${said}`)));
    });
    child.removeAllListeners("exit");
    return child;
  }

  async close(): Promise<void> {
    for (const child of this.#children) await stop(child, "SIGKILL");
    for (const name of this.#names) await run("ip", ["netns", "del", name]);
  }

  #full(space: string): string {
    return `${this.#prefix}${space}`;
  }
}

export interface Plug {
  readonly space: string;
  readonly port: string;
  readonly address?: string;
  readonly mac?: string;
}

export async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}
