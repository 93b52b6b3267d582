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
  return forAnyCpu(new Uint8Array(readFileSync(file)));
}

const kindOffset = 4;
const kinds = { builtIn: 0, made: 1 } as const;

/**
 * The same heap, which now says of itself that it is Node's own. Node refuses a heap that others made on a CPU with other features, for
 * the sake of machine code; ours has none, as its own has none, which it takes everywhere. Undefined when the form is not known.
 * @param snapshot magic u32, kind u8, then the rest
 * @source Node 20 src/node_snapshotable.cc, SnapshotMetadata and SnapshotData::Check
 */
export function forAnyCpu(snapshot: Uint8Array): Uint8Array | undefined {
  if (snapshot[kindOffset] !== kinds.made) return undefined;
  const own = snapshot.slice();
  own[kindOffset] = kinds.builtIn;
  return own;
}
