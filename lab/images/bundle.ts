import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";
import { run } from "./run.ts";

const top = path.resolve(import.meta.dirname, "../..");

/**
 * Node's builder of heap snapshots cannot load its own HTTP modules (its JavaScript engine lacks a method that they call), so
 * the bundle loads these when they are first used, which is after the snapshot has been started.
 */
const loadLate = `{const load=require;const late=new Set(["http","https","node:http"]);require=(name)=>{if(!late.has(name))return load(name);let found;return new Proxy({},{get:(_,key)=>(found??=load(name))[key]})}}`;

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
    banner: { js: loadLate },
    write: false,
    logLevel: "silent",
  });
  return result.outputFiles[0]?.contents ?? new Uint8Array(0);
}

/**
 * The heap of a Node that has loaded the installer and stands before its first step. Starting from it skips compiling and
 * running all that code, which takes seconds on a cold emulated CPU. Undefined when this Node cannot make one. It holds times
 * and addresses of its making, so it is made once per bundle and Node and then kept.
 */
export async function snapshotInstaller(bundle: Uint8Array, cache: string): Promise<Uint8Array | undefined> {
  const key = createHash("sha256")
    .update(bundle)
    .update(process.version)
    .update(process.arch)
    .digest("hex")
    .slice(0, 16);
  const file = path.join(cache, `installer-${key}.blob`);
  const work = `${file}.${process.pid}`;
  if (!existsSync(file)) {
    mkdirSync(work, { recursive: true });
    try {
      writeFileSync(path.join(work, "installer.cjs"), bundle);
      const args = ["--no-warnings", "--snapshot-blob", "installer.blob", "--build-snapshot", "installer.cjs"];
      // Without our environment: the snapshot keeps it.
      await run(process.execPath, args, { cwd: work, env: {} });
      renameSync(path.join(work, "installer.blob"), file);
    } catch {
      return undefined;
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  return new Uint8Array(readFileSync(file));
}

/**
 * Where in a snapshot Node keeps the mark of the engine and CPU that made it: behind magic u32, kind u8 and three texts (version,
 * architecture, platform), each with its length as u64. Undefined when it is not there.
 * @source Node 20 src/node_snapshotable.cc, SnapshotMetadata
 */
export function snapshotMarkOffset(snapshot: Uint8Array): number | undefined {
  const view = new DataView(snapshot.buffer, snapshot.byteOffset, snapshot.byteLength);
  let at = 5;
  for (let i = 0; i < 3; i++) {
    if (at + 8 > snapshot.length) return undefined;
    at += 8 + Number(view.getBigUint64(at, true));
  }
  return at + 4 <= snapshot.length ? at : undefined;
}
