// Flags that many commands share. Each is defined once, so that it means and says the same everywhere.
import { type Output, outputs } from "./view/output.ts";
import { parseDuration } from "./view/time.ts";

export interface ConnectFlags {
  readonly server?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly ca?: string | undefined;
  readonly context?: string | undefined;
  readonly reason?: string | undefined;
}
export interface ScopeFlags extends ConnectFlags {
  readonly project?: string | undefined;
  readonly admin?: boolean | undefined;
}
export interface OutputFlags {
  readonly output: Output;
}
export interface WaitFlags {
  readonly wait?: boolean | undefined;
  readonly timeout: number;
}

export const text = (brief: string, placeholder: string) =>
  ({ kind: "parsed", parse: String, optional: true, brief, placeholder }) as const;
export const needed = (brief: string, placeholder: string) =>
  ({ kind: "parsed", parse: String, brief, placeholder }) as const;
export const several = (brief: string, placeholder: string) =>
  ({ kind: "parsed", parse: String, optional: true, variadic: true, brief, placeholder }) as const;

export const connectFlags = {
  server: text("URL of the server (HOLDFAST_SERVER)", "URL"),
  tokenFile: text("File with the bearer token, - for the standard input (HOLDFAST_TOKEN holds a token itself)", "FILE"),
  ca: text("PEM file of the CA that signed the server's certificate (HOLDFAST_CA)", "FILE"),
  context: text("Stored login to use (HOLDFAST_CONTEXT)", "NAME"),
  reason: text("Why something is changed, for its history (HOLDFAST_REASON)", "TEXT"),
} as const;

export const scopeFlags = {
  ...connectFlags,
  project: text("Project to act in (HOLDFAST_PROJECT)", "UUID"),
  admin: { kind: "boolean", optional: true, brief: "Act as administrator, over all projects" },
} as const;

export const outputFlag = (initial: Output) =>
  ({ output: { kind: "enum", values: outputs, default: initial, brief: "Form of the output" } }) as const;

/** Parses a whole number within these, both included. */
export const between =
  (least: number, most: number) =>
  (given: string): number => {
    const isShort = /^\d+$/.test(given) && given.length <= `${most}`.length;
    if (isShort && Number(given) >= least && Number(given) <= most) return Number(given);
    throw new Error(`${least} to ${most} is wanted`);
  };

export function duration(given: string): number {
  const parsed = parseDuration(given);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

export const waitFlags = {
  wait: { kind: "boolean", optional: true, brief: "Wait until it is done, and show the stages" },
  timeout: { kind: "parsed", parse: duration, default: "20m", brief: "Longest wait", placeholder: "DURATION" },
} as const;

/** Arguments by their names in help texts; a name such as `on|off` lists what may stand there, and is proposed. */
export const positional = <const P extends readonly string[]>(...names: P) =>
  ({
    kind: "tuple",
    parameters: names.map((placeholder) => ({
      brief: placeholder,
      parse: String,
      placeholder,
      proposeCompletions: (partial: string) =>
        placeholder.split("|").filter((word, _, words) => words.length > 1 && word.startsWith(partial)),
    })) as { [K in keyof P]: Argument },
  }) as const;

interface Argument {
  readonly brief: string;
  readonly parse: (text: string) => string;
  readonly placeholder: string;
  readonly proposeCompletions: (partial: string) => readonly string[];
}
