import { spawn } from "node:child_process";

/** Runs a program to its end and gives what it printed; a failure names the program and shows the end of its complaints. */
export function run(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    const out: Buffer[] = [];
    let complaints = "";
    child.stdout.on("data", (data: Buffer) => out.push(data));
    child.stderr.on("data", (data: Buffer) => {
      complaints = (complaints + data.toString()).slice(-4000);
    });
    child.on("error", (error: NodeJS.ErrnoException) => {
      reject(error.code === "ENOENT" ? new Error(`${program} is not installed`, { cause: error }) : error);
    });
    child.on("close", (code, signal) => {
      if (code === 0) resolve(Buffer.concat(out).toString());
      else
        reject(
          new Error(`${program} ${args.slice(0, 3).join(" ")} ended with ${signal ?? code}: ${complaints.trim()}`),
        );
    });
  });
}
