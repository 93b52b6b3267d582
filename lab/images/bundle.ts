import path from "node:path";
import { build } from "esbuild";

const top = path.resolve(import.meta.dirname, "../..");

/** The installer as one file for Node. */
export async function bundleInstaller(): Promise<Uint8Array> {
  const result = await build({
    entryPoints: [path.join(top, "installer/main.ts")],
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    minify: true,
    legalComments: "none",
    absWorkingDir: top,
    outfile: "installer.cjs",
    write: false,
    logLevel: "silent",
  });
  return result.outputFiles[0]?.contents ?? new Uint8Array(0);
}
