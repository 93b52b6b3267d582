import { readFileSync, statSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Version } from "#gen/metalstack/api/v2/version_pb.ts";
import { packageVersion } from "#lib/io/package-version.ts";

/** What this central is: of the package, and where it runs from a checkout, of that. */
export function versionFacts(): Pick<Version, "version" | "revision" | "gitSha1" | "buildDate"> {
  const version = packageVersion();
  const gitSha1 = checkedOut(new URL("../../.git", import.meta.url)) ?? "";
  const revision = gitSha1 === "" ? `v${version}` : `v${version}-g${gitSha1.slice(0, 8)}`;
  return { version, revision, gitSha1, buildDate: "" };
}

/** @param git the .git of a checkout @returns its commit, undefined when that cannot be told */
export function checkedOut(git: URL): string | undefined {
  try {
    const { own, shared } = foldersOf(git);
    const head = read(own, "HEAD");
    const ref = /^ref: (refs\/[\w./-]+)$/.exec(head)?.[1];
    if (ref === undefined) return shaIn(head);
    try {
      return shaIn(read(shared, ref));
    } catch {
      const packed = read(shared, "packed-refs").split("\n");
      return shaIn(packed.find((line) => line.endsWith(` ${ref}`))?.split(" ")[0] ?? "");
    }
  } catch {
    return undefined;
  }
}

/** In a further worktree of a repository, .git is a file that names the folder of what is its own. @source gitrepository-layout(5) */
function foldersOf(git: URL): { readonly own: URL; readonly shared: URL } {
  if (statSync(git).isDirectory()) return { own: folder(fileURLToPath(git)), shared: folder(fileURLToPath(git)) };
  const own = folder(
    readFileSync(git, "utf8")
      .replace(/^gitdir: /, "")
      .trim(),
  );
  return { own, shared: new URL(`${read(own, "commondir")}/`, own) };
}

const folder = (path: string): URL => pathToFileURL(`${path}/`);

const read = (from: URL, name: string): string => readFileSync(new URL(name, from), "utf8").trim();

const shaIn = (text: string): string | undefined => (/^[0-9a-f]{40,64}$/.test(text) ? text : undefined);
