// Which versions of an image a filesystem layout or a size takes: comparisons that must all hold.
import { fail, ok, type Result } from "#lib/result.ts";
import { compareVersions } from "./version.ts";

type Comparison = (version: readonly number[]) => boolean;

const operators: Readonly<Record<string, (order: number) => boolean>> = {
  "": (order) => order === 0,
  "=": (order) => order === 0,
  "!=": (order) => order !== 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
};

/**
 * `*`, `>= 12`, `>= 10.20 < 12`, `~ 12.1` (same minor), `^ 12` (same major); a version that leaves parts out and stands alone or
 * with `=` takes all versions that begin so.
 */
export function parseVersionConstraint(text: string): Result<(version: readonly number[]) => boolean> {
  const bad = fail(`version constraint ${text.slice(0, 128)}: such as * or >= 12.1 or ^ 12 is wanted`);
  const terms = text.replaceAll(",", " ").match(/(?:[=!<>~^]+\s*)?[^\s=!<>~^]+/g);
  if (terms === null) return bad;
  const comparisons: Comparison[] = [];
  for (const term of terms) {
    if (term.trim() === "*") continue;
    const parts = /^([=!<>~^]*)\s*(\d{1,9}(?:\.\d{1,9}){0,2})$/.exec(term.trim());
    if (parts === null) return bad;
    const [, operator = "", numbers = ""] = parts;
    const comparison = comparisonOf(operator, numbers.split(".").map(Number));
    if (comparison === undefined) return bad;
    comparisons.push(comparison);
  }
  return ok((version) => comparisons.every((holds) => holds(version)));
}

function comparisonOf(operator: string, wanted: readonly number[]): Comparison | undefined {
  const begins = (count: number) => (version: readonly number[]) =>
    wanted.slice(0, count).every((part, i) => (version[i] ?? 0) === part);
  if (operator === "" || operator === "=") return begins(wanted.length);
  if (operator === "~" || operator === "^") {
    const same = begins(operator === "~" && wanted.length > 1 ? 2 : 1);
    return (version) => same(version) && compareVersions(version, wanted) >= 0;
  }
  const holds = Object.hasOwn(operators, operator) ? operators[operator] : undefined;
  return holds && ((version) => holds(compareVersions(version, wanted)));
}
