import { readFileSync } from "node:fs";
import type { Version } from "#gen/metalstack/api/v2/version_pb.ts";
import { packageVersion } from "#lib/io/package-version.ts";

/** What this central is: of the package, and where it runs from a checkout, of that. */
export function versionFacts(): Pick<Version, "version" | "revision" | "gitSha1" | "buildDate"> {
  const version = packageVersion();
  const gitSha1 = checkedOut(new URL("../../.git/", import.meta.url)) ?? "";
  const revision = gitSha1 === "" ? `v${version}` : `v${version}-g${gitSha1.slice(0, 8)}`;
  return { version, revision, gitSha1, buildDate: "" };
}

/** @param git a repository's .git folder @returns the commit, undefined when that cannot be told */
function checkedOut(git: URL): string | undefined {
  try {
    const head = readFileSync(new URL("HEAD", git), "utf8").trim();
    const ref = /^ref: (refs\/[\w./-]+)$/.exec(head)?.[1];
    if (ref === undefined) return shaIn(head);
    try {
      return shaIn(readFileSync(new URL(ref, git), "utf8").trim());
    } catch {
      const packed = readFileSync(new URL("packed-refs", git), "utf8").split("\n");
      return shaIn(packed.find((line) => line.endsWith(` ${ref}`))?.split(" ")[0] ?? "");
    }
  } catch {
    return undefined;
  }
}

const shaIn = (text: string): string | undefined => (/^[0-9a-f]{40,64}$/.test(text) ? text : undefined);
