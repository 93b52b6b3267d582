// The shipped program of central in a process of its own, over a store that outlives it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import type { Program } from "../bundled.ts";

/** A start takes a second or two of a quiet core. */
const startMs = 150_000;
const linesKept = 20;

/** How a call ended that was to be the last. */
export interface Last {
  /** Why the caller got no answer; absent when it got one. */
  readonly error?: unknown;
  /** Absent when the process was killed; else all that there were. */
  readonly awaits?: number;
}

export class Killable {
  readonly #process: ChildProcess;
  readonly #url: string;
  /** The last lines that it has logged. */
  readonly lines: string[];

  private constructor(process: ChildProcess, url: string, lines: string[]) {
    this.#process = process;
    this.#url = url;
    this.lines = lines;
  }

  /**
   * It lives for a few calls, too short for its code to be worth optimizing.
   * @param words central's flags, without its port
   */
  static async started({ file }: Program, words: readonly string[]): Promise<Killable> {
    const child = spawn(process.execPath, ["--no-opt", file, "--listen.port=0", "--probeUrls=false", ...words], {
      stdio: ["ignore", "pipe", "inherit", "ipc"],
    });
    const lines: string[] = [];
    const url = await new Promise<string>((resolve, reject) => {
      const fail = (why: string) => {
        child.kill("SIGKILL");
        reject(new Error(`central has not started: ${why}\n${lines.join("\n")}`));
      };
      const late = setTimeout(() => fail(`not within ${startMs} ms`), startMs);
      child.once("exit", (code, signal) => fail(`it ended with ${code ?? signal}`));
      createInterface({ input: child.stdout! }).on("line", (line) => {
        lines.splice(0, Math.max(0, lines.length - linesKept + 1));
        lines.push(line);
        const { msg, url } = JSON.parse(line) as { readonly msg: string; readonly url?: string };
        if (msg !== "listening") return;
        clearTimeout(late);
        child.removeAllListeners("exit");
        resolve(url ?? "");
      });
    });
    return new Killable(child, url, lines);
  }

  client<S extends DescService>(service: S, token: string, headers: Readonly<Record<string, string>> = {}): Client<S> {
    const dressed: Interceptor = (next) => (request) => {
      for (const [name, value] of Object.entries({ authorization: `Bearer ${token}`, ...headers }))
        request.header.set(name, value);
      return next(request);
    };
    return createClient(
      service,
      createConnectTransport({ baseUrl: this.#url, httpVersion: "1.1", interceptors: [dressed] }),
    );
  }

  /**
   * The last call: the process is gone when it returns.
   * @param killAt the await that it dies at; 0: it dies when nothing goes on any more
   */
  async last(killAt: number, call: (headers: Readonly<Record<string, string>>) => Promise<unknown>): Promise<Last> {
    const gone = once(this.#process, "exit");
    const over = new Promise<number>((resolve) =>
      this.#process.once("message", (message) => resolve((message as { readonly awaits: number }).awaits)),
    );
    const ended = call({ "x-kill-at-await": `${killAt}` }).then(
      () => ({}),
      (error: unknown) => ({ error }),
    );
    const awaits = await Promise.race([over, gone.then(() => undefined)]);
    this.#process.kill("SIGKILL");
    await gone;
    return { ...(await ended), ...(awaits !== undefined && { awaits }) };
  }

  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await gone;
  }
}
