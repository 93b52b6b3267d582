import { execFile, type StdioOptions, spawn } from "node:child_process";
import type { Command } from "../filesystems.ts";

/** Enough for what a program complains of; the end of it, where the reason is. */
const complaintsMax = 2_000;

/** Runs to the end. A failure names the program and what it complained of. */
export function runProgram(command: Command, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stdio: StdioOptions = [command.input === undefined ? "ignore" : "pipe", "ignore", "pipe"];
    const child = spawn(command.program, command.args, { stdio });
    let complaints = "";
    child.stderr?.on("data", (data: Buffer) => {
      complaints = (complaints + data.toString()).slice(-complaintsMax);
    });
    const stop = () => child.kill("SIGKILL");
    signal?.addEventListener("abort", stop);
    child.on("error", reject);
    child.on("close", (code, killer) => {
      signal?.removeEventListener("abort", stop);
      if (code === 0) resolve();
      else
        reject(
          new Error(
            `${command.program} ended with ${killer ?? code}: ${complaints.trim().replaceAll("\n", "; ") || "no reason given"}`,
          ),
        );
    });
    // A program that ends before it has read everything says why on its own; its closed pipe is no second failure.
    child.stdin?.on("error", () => {});
    child.stdin?.end(command.input);
  });
}

/**
 * Runs one after the other, up to the first that fails, under one shell: on an emulated CPU Node needs a tenth of a second to start
 * a process, and a shell a tenth of that.
 */
export async function runPrograms(commands: readonly Command[]): Promise<void> {
  const [only] = commands;
  if (commands.length <= 1) return only && (await runProgram(only));
  await runProgram({ program: "/bin/busybox", args: ["sh", "-c", script(commands)] });
}

/** A shell's text. What a program reads comes from a text of its own, so that the next one's stays untouched. */
export const script = (commands: readonly Command[]): string =>
  commands
    .map(({ program, args, input }) => {
      const line = [program, ...args].map(quoted).join(" ");
      const fed = input === undefined ? `${line} < /dev/null` : `printf %s ${quoted(input)} | ${line}`;
      return `${fed} > /dev/null || { echo "${program} ended with $?" >&2; exit 1; }`;
    })
    .join("\n");

const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** What a program prints, up to 1 MiB; empty when it fails: for facts that may be missing. */
export function readProgram(program: string, args: readonly string[]): Promise<Uint8Array> {
  return new Promise((resolve) => {
    execFile(program, args, { encoding: "buffer", timeout: 10_000, maxBuffer: 2 ** 20 }, (error, stdout) =>
      resolve(error === null ? stdout : new Uint8Array(0)),
    );
  });
}
