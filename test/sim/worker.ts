// The worker as one file: it starts at once, and without the names that the loader gives to every function that is made, which take a
// tenth of a run.
import { rmSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";

const top = path.resolve(import.meta.dirname, "../..");

export interface Worker {
  readonly file: string;
  remove(): void;
}

export async function bundledWorker(): Promise<Worker> {
  const file = path.join(top, ".cache/sim", `worker-${process.pid}.mjs`);
  await build({
    entryPoints: [path.join(import.meta.dirname, "worker-main.ts")],
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    packages: "external",
    absWorkingDir: top,
    outfile: file,
    logLevel: "silent",
  });
  return { file, remove: () => rmSync(file, { force: true }) };
}
