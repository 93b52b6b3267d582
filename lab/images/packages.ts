import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import path from "node:path";
import { run } from "./run.ts";

/** Debian packages, unpacked over one another into one folder that is named after exactly what is in it. */
export interface Packages {
  readonly root: string;
  /** Changes when any package's name, version or content does. */
  readonly id: string;
  readonly names: readonly string[];
}

const noExtras = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"].map((w) => `--no-${w}`);

/** The packages named and, of all that they depend on, the libraries: what programs need that run without a package manager. */
export async function withLibraries(names: readonly string[]): Promise<string[]> {
  const found = await run("apt-cache", ["depends", "--recurse", ...noExtras, ...names]);
  const libraries = found.split("\n").filter((line) => /^(lib(?!perl|.*-perl$)|zlib1g)/.test(line));
  return [...new Set([...names, ...libraries])].sort();
}

/** What a package depends on and whose name matches: a kernel meta-package names its kernel this way. */
export async function dependency(name: string, pattern: RegExp): Promise<string> {
  const found = await run("apt-cache", ["depends", ...noExtras, name]);
  const match = found
    .split("\n")
    .map((line) => line.replace(/^\s*(Depends: )?/, ""))
    .find((line) => pattern.test(line));
  if (match === undefined)
    throw new Error(`apt knows no package ${name} that depends on ${pattern}; apt-get update may help`);
  return match;
}

/** Downloads through apt (which checks signatures) and unpacks; done once for each set of versions. */
export async function unpackPackages(names: readonly string[], cache: string): Promise<Packages> {
  const uris = await run("apt-get", ["download", "--print-uris", ...names]);
  const files = uris
    .split("\n")
    .filter(Boolean)
    .map((line) => line.split(" "))
    .map((f) => ({ file: f[1] ?? "", hash: f[3] ?? "" }));
  const id = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 16);
  const root = path.join(cache, "packages", id);
  if (!existsSync(root)) {
    const debs = `${root}.debs.${process.pid}`;
    const half = `${root}.half.${process.pid}`;
    mkdirSync(debs, { recursive: true });
    mkdirSync(half, { recursive: true });
    await run("apt-get", ["-q", "download", "-o", "APT::Sandbox::User=root", ...names], { cwd: debs });
    // One at a time: they share folders, and a later package may replace a link that an earlier one made.
    for (const { file } of files) await run("dpkg", ["-x", path.join(debs, file), half]);
    await run("rm", ["-rf", debs]);
    renameSync(half, root);
  }
  return { root, id, names };
}
