import { createRequire } from "node:module";

/** The version of the package that this code is of. */
export function packageVersion(): string {
  const { version } = createRequire(import.meta.url)("../../package.json") as { readonly version: string };
  return version;
}
