import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, type WriteStream } from "node:fs";
import { createInterface } from "node:readline";

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface StartOptions {
  /** What people call it. */
  readonly name: string;
  /** Standard output and error are appended here. */
  readonly log: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called for each line of standard output, when given. */
  readonly onLine?: (line: string) => void;
  /** Called for what comes by standard output, as it comes. */
  readonly onOutput?: (bytes: Uint8Array) => void;
}

/** A child process that the lab owns: it ends with the lab, even when the lab is killed. */
export class Running {
  readonly name: string;
  readonly log: string;
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  #exit: Exit | undefined;

  constructor(child: ChildProcess, options: StartOptions) {
    this.name = options.name;
    this.log = options.log;
    this.#child = child;
    this.exited = new Promise((resolve, reject) => {
      child.once("error", (error) => reject(new Error(`${options.name} does not start`, { cause: error })));
      child.once("exit", (code, signal) => {
        this.#exit = { code, signal };
        resolve(this.#exit);
      });
    });
    // The lab asks for `exited` where it matters; a child that nobody asked about must not end the lab.
    this.exited.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get isAlive(): boolean {
    return this.#exit === undefined && this.#child.pid !== undefined;
  }

  /** Sends the signal and waits for the end; after `deadlineMs` it is killed. */
  async stop(signal: NodeJS.Signals = "SIGTERM", deadlineMs = 10_000): Promise<Exit> {
    if (!this.isAlive) return this.#exit ?? { code: null, signal: null };
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), deadlineMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  write(bytes: Uint8Array): void {
    this.#child.stdin?.write(bytes);
  }
}

/** Starts a program as a child of this process. `setpriv` makes the kernel kill it when this process dies. */
export function start(command: readonly string[], options: StartOptions & { readonly stdin?: "pipe" }): Running {
  const log = createWriteStream(options.log, { flags: "a", mode: 0o640 });
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", ...command], {
    stdio: [options.stdin ?? "ignore", "pipe", "pipe"],
    env: { ...process.env, ...options.env },
    // A session of its own: Ctrl-C is for the lab, which stops everything in order.
    detached: true,
  });
  const running = new Running(child, options);
  child.stdin?.on("error", () => undefined);
  forward(child, log, options);
  return running;
}

function forward(child: ChildProcess, log: WriteStream, { onLine, onOutput }: StartOptions): void {
  let open = 2;
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => log.write(chunk));
    stream?.once("close", () => {
      open -= 1;
      if (open === 0) log.end();
    });
  }
  log.on("error", () => undefined);
  if (onOutput) child.stdout?.on("data", onOutput);
  if (onLine && child.stdout) createInterface({ input: child.stdout, crlfDelay: Infinity }).on("line", onLine);
}

export interface Output {
  readonly exit: Exit;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly deadlineMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Seen by the user as it comes, instead of being collected. */
  readonly show?: boolean;
}

const outputMax = 16 << 20;

/** Runs a program to its end and gives what it said; the exit is the caller's to judge. */
export async function attempt(command: readonly string[], options: RunOptions = {}): Promise<Output> {
  const [program = "", ...args] = command;
  const out = options.show ? "inherit" : "pipe";
  const child = spawn(program, args, {
    stdio: [options.input === undefined ? "ignore" : "pipe", out, out],
    env: { ...process.env, ...options.env },
    timeout: options.deadlineMs ?? 30_000,
    killSignal: "SIGKILL",
  });
  const collected = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      if (collected[name].length < outputMax) collected[name] += text;
    });
  }
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(options.input);
  const exit = await new Promise<Exit>((resolve, reject) => {
    child.once("error", (error) => reject(new Error(`${program} does not start`, { cause: error })));
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  return { exit, ...collected };
}

/** Runs a program that must succeed. @throws with its own words when it does not */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const { exit, stdout, stderr } = await attempt(command, options);
  if (exit.code === 0) return stdout;
  const how = exit.signal === null ? `exit ${exit.code}` : `${exit.signal} after ${options.deadlineMs ?? 30_000} ms`;
  throw new Error(`${command.join(" ")}: ${how}: ${(stderr || stdout).trim().slice(-2000)}`);
}
