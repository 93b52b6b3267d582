import { execFileSync } from "node:child_process";

/** Of the checkout that this runs from, in short; "unknown" outside of one. */
export function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: import.meta.dirname, encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}
