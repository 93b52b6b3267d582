// A daemon's configuration: flags go before environment, environment before the YAML file, the file before defaults.
// Pure: the sources are handed in as texts. All that is wrong is reported at once.
import * as v from "valibot";
import { parse, parseDocument } from "yaml";
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

/** What is known while the sources are read. */
interface Reading {
  readonly settings: readonly Setting[];
  readonly file: string | undefined;
  readonly merged: Record<string, unknown>;
  /** Which flag or environment variable a path's value came from; all others come from the file. */
  readonly origins: Map<string, string>;
  /** What is wrong with the text at a path that could not even be read as its kind, unless a later source replaced it. */
  readonly unread: Map<string, string>;
  readonly problems: string[];
}

/** Every problem is one line that names the path, the value, where it was said and what is wanted. */
export function readConfig<S extends ConfigSchema>(
  schema: S,
  sources: ConfigSources,
): Result<v.InferOutput<S>, readonly string[]> {
  const problems: string[] = [];
  const reading: Reading = {
    settings: settingsOf(schema),
    file: sources.file?.name,
    merged: fileContent(sources.file, problems),
    origins: new Map(),
    unread: new Map(),
    problems,
  };
  for (const setting of reading.settings) {
    const name = environmentName(setting.path);
    const value = sources.env[name];
    if (value !== undefined) put(reading, setting, value, name);
  }
  readFlags(sources.argv, reading);
  problems.push(...reading.unread.values());
  const checked = v.safeParse(schema, reading.merged);
  if (checked.success && problems.length === 0) return ok(checked.output);
  return fail([...problems, ...(checked.issues ?? []).flatMap((issue) => problemOf(issue, reading))]);
}

function fileContent(file: ConfigSources["file"], problems: string[]): Record<string, unknown> {
  if (!file) return {};
  const document = parseDocument(file.text);
  problems.push(...document.errors.map((error) => `${file.name}: ${error.message.split("\n")[0]}`));
  if (document.errors.length > 0) return {};
  const content: unknown = document.toJS();
  if (content === null || content === undefined) return {};
  if (typeof content === "object" && !Array.isArray(content)) return content as Record<string, unknown>;
  problems.push(`${file.name}: a mapping of settings is wanted`);
  return {};
}

function readFlags(argv: readonly string[], reading: Reading): void {
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    const [, name = "", inline] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    const setting = reading.settings.find((s) => s.path.join(".") === name);
    if (!setting) {
      reading.problems.push(`${word}: there is no such flag; --help lists them`);
      continue;
    }
    const value = inline ?? argv[++i];
    if (value === undefined) reading.problems.push(`--${name}: a value is wanted`);
    else put(reading, setting, value, `--${name}`);
  }
}

function put(reading: Reading, setting: Setting, text: string, from: string): void {
  const path = setting.path.join(".");
  const value = parsed(setting, text);
  if (value.ok) reading.unread.delete(path);
  else reading.unread.set(path, `${path}: ${JSON.stringify(text)} (${from}): ${value.error}`);
  let place = reading.merged;
  for (const part of setting.path.slice(0, -1)) {
    const inner = place[part];
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) place[part] = {};
    place = place[part] as Record<string, unknown>;
  }
  place[setting.path.at(-1) ?? ""] = value.ok ? value.value : undefined;
  reading.origins.set(path, from);
}

function parsed({ kind }: Setting, text: string): Result<unknown> {
  switch (kind) {
    case "text":
      return ok(text);
    case "number":
      return text.trim() !== "" && Number.isFinite(Number(text)) ? ok(Number(text)) : fail("a number is wanted");
    case "boolean":
      return text === "true" || text === "false" ? ok(text === "true") : fail("true or false is wanted");
    case "list":
      try {
        return ok(text.startsWith("[") ? parse(text) : text.split(",").map((part) => part.trim()));
      } catch (error) {
        return fail((error as Error).message.split("\n")[0] ?? "");
      }
  }
}

/** @returns nothing for what was reported already */
function problemOf(issue: v.BaseIssue<unknown>, { settings, file, origins, unread }: Reading): readonly string[] {
  const path = v.getDotPath(issue) ?? "";
  if (unread.has(path)) return [];
  const origin = origins.get(path) ?? [...origins].find(([of]) => path.startsWith(`${of}.`))?.[1] ?? file;
  const where = origin === undefined ? "" : ` (${origin})`;
  const isOwnText = issue.type === "check" || issue.type === "partial_check" || issue.expected === null;
  const isAboutGroup = issue.received === "Object" || issue.received === "Array";
  if (isOwnText) return [`${path}: ${isAboutGroup ? "" : `${issue.received}${where}: `}${issue.message}`];
  if (issue.received === "undefined") {
    const setting = settings.find((s) => s.path.join(".") === path);
    return [`${path}: is required${setting ? `: ${setting.meaning}` : ""}`];
  }
  if (issue.expected === "never") return [`${path}${where}: there is no such setting`];
  return [`${path}: ${issue.received}${where}: ${issue.expected} is wanted`];
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
