// A daemon's configuration: flags go before environment, environment before the YAML file, the file before defaults.
// Pure: the sources are handed in as texts. All that is wrong is reported at once.
import * as v from "valibot";
import { parse } from "yaml";
import { fail, ok, type Result } from "./result.ts";

export type ConfigSchema = v.GenericSchema<unknown, unknown>;

export interface ConfigSources {
  /** Words of the command line after the program's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The configuration file, if one was named. */
  readonly file: { readonly name: string; readonly text: string } | undefined;
}

/** One setting, at the end of its path: `boot.httpPort`. */
export interface Setting {
  readonly path: readonly string[];
  readonly kind: "text" | "number" | "boolean" | "list";
  readonly meaning: string;
  readonly default: unknown;
  readonly isRequired: boolean;
}

const environmentPrefix = "HOLDFAST";

/** `HOLDFAST_BOOT_HTTP_PORT` for `boot.httpPort`. */
export const environmentName = (path: readonly string[]): string =>
  [environmentPrefix, ...path.map((p) => p.replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase())].join("_");

/** Every problem is one line that names the path, the value and what is wanted. */
export function readConfig<S extends ConfigSchema>(
  schema: S,
  sources: ConfigSources,
): Result<v.InferOutput<S>, readonly string[]> {
  const problems: string[] = [];
  const settings = settingsOf(schema);
  const merged = fileContent(sources.file, problems);
  for (const setting of settings) {
    const name = environmentName(setting.path);
    const value = sources.env[name];
    if (value !== undefined) put(merged, setting, value, `environment ${name}`, problems);
  }
  readFlags(sources.argv, settings, merged, problems);
  const checked = v.safeParse(schema, merged);
  if (!checked.success) problems.push(...checked.issues.map((issue) => problemOf(issue, sources.file?.name)));
  return checked.success && problems.length === 0 ? ok(checked.output) : fail(problems);
}

function fileContent(file: ConfigSources["file"], problems: string[]): Record<string, unknown> {
  if (!file) return {};
  try {
    const content: unknown = parse(file.text);
    if (content === null || content === undefined) return {};
    if (typeof content === "object" && !Array.isArray(content))
      return structuredClone(content) as Record<string, unknown>;
    problems.push(`${file.name}: a mapping of settings is wanted`);
  } catch (error) {
    problems.push(`${file.name}: ${(error as Error).message.split("\n")[0]}`);
  }
  return {};
}

function readFlags(
  argv: readonly string[],
  settings: readonly Setting[],
  into: Record<string, unknown>,
  problems: string[],
): void {
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    const [, name = "", inline] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    const setting = settings.find((s) => s.path.join(".") === name);
    if (!setting) {
      problems.push(`${word}: there is no such flag; --help lists them`);
      continue;
    }
    const value = inline ?? argv[++i];
    if (value === undefined) problems.push(`--${name}: a value is wanted`);
    else put(into, setting, value, `--${name}`, problems);
  }
}

function put(into: Record<string, unknown>, setting: Setting, text: string, from: string, problems: string[]): void {
  let place = into;
  for (const part of setting.path.slice(0, -1)) {
    const inner = place[part];
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) place[part] = {};
    place = place[part] as Record<string, unknown>;
  }
  place[setting.path.at(-1) ?? ""] = valueOf(setting, text, from, problems);
}

function valueOf({ kind }: Setting, text: string, from: string, problems: string[]): unknown {
  switch (kind) {
    case "text":
      return text;
    case "number":
      if (text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
      problems.push(`${from}: ${text} is no number`);
      return undefined;
    case "boolean":
      if (text === "true" || text === "false") return text === "true";
      problems.push(`${from}: ${text} is neither true nor false`);
      return undefined;
    case "list":
      try {
        return text.startsWith("[") ? parse(text) : text.split(",").map((part) => part.trim());
      } catch (error) {
        problems.push(`${from}: ${(error as Error).message.split("\n")[0]}`);
        return undefined;
      }
  }
}

function problemOf(issue: v.BaseIssue<unknown>, file: string | undefined): string {
  const path = v.getDotPath(issue) ?? "";
  const wanted = issue.expected === null || issue.type === "check" ? issue.message : `${issue.expected} is wanted`;
  const where = file === undefined ? "" : ` (${file}, flags and environment)`;
  if (issue.received === "undefined") return `${path}: missing; ${wanted}${where}`;
  if (issue.expected === "never") return `${path}: there is no such setting${where}`;
  return `${path}: ${issue.received}: ${wanted}${where}`;
}

/** What of valibot's schemas is looked into. */
interface Shape {
  readonly type: string;
  readonly entries?: Readonly<Record<string, Shape>>;
  readonly wrapped?: Shape;
  readonly default?: unknown;
  readonly pipe?: readonly [Shape, ...unknown[]];
}

/** All settings of a schema, in its order. */
export function settingsOf(schema: ConfigSchema): readonly Setting[] {
  return walk(schema as unknown as Shape, [], true, undefined);
}

function walk(shape: Shape, path: readonly string[], isRequired: boolean, fallback: unknown): readonly Setting[] {
  if (shape.type === "optional" && shape.wrapped) return walk(shape.wrapped, path, false, shape.default);
  if (shape.entries)
    return Object.entries(shape.entries).flatMap(([key, inner]) => walk(inner, [...path, key], isRequired, undefined));
  const meaning = v.getDescription(shape as unknown as ConfigSchema) ?? "";
  return [{ path, kind: kindOf(shape), meaning, default: fallback, isRequired }];
}

function kindOf({ type }: Shape): Setting["kind"] {
  return type === "number" || type === "boolean" ? type : type === "array" ? "list" : "text";
}

/** The page that `--help` prints. */
export function configHelp(program: { readonly name: string; readonly about: string }, schema: ConfigSchema): string {
  const lines = settingsOf(schema).map((s) => {
    const fallback =
      s.isRequired && s.default === undefined
        ? "required"
        : s.default === undefined
          ? "optional"
          : `default ${JSON.stringify(s.default)}`;
    return `  --${s.path.join(".")} ${s.kind.toUpperCase()}\n      ${s.meaning} (${fallback})\n      ${environmentName(s.path)}`;
  });
  return [
    program.about,
    "",
    `usage: ${program.name} [--config FILE.yaml] [--SETTING VALUE …]`,
    "",
    "Flags go before environment variables, those before the file. Lists are comma-separated, or YAML in brackets.",
    "",
    ...lines,
    "",
  ].join("\n");
}
