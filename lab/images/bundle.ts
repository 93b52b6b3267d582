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
    // Only what is used is worth loading: one of systeminformation's twenty parts, and a Headers without all of fetch.
    alias: { systeminformation: "systeminformation/lib/memory.js" },
    inject: [path.join(top, "installer/io/headers.ts")],
    absWorkingDir: top,
    outfile: "installer.cjs",
    write: false,
    logLevel: "silent",
  });
  return result.outputFiles[0]?.contents ?? new Uint8Array(0);
}
