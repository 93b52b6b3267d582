import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type { CommandContext, StricliProcess } from "@stricli/core";
import type { Clock } from "#lib/clock.ts";
import type { Result } from "#lib/result.ts";
import { explain, Failure } from "./failure.ts";
import type { ConnectFlags } from "./flags.ts";
import { noSettings, parseSettings, type Settings, settingsText, type Target, targetOf } from "./settings.ts";
import type { SitePlace } from "./site/place.ts";

/** A connection to one server. */
export interface Api {
  client<S extends DescService>(service: S): Client<S>;
}

/** What a command may touch: handed in by main.ts, so that a test can hand in something else. */
export interface Cli extends CommandContext {
  readonly process: StricliProcess;
  readonly clock: Clock;
  /** Aborted when the user interrupts. */
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Login of the user at this computer. */
  readonly user: string;
  readonly version: string;
  /** The lines on the error stream may be rewritten: it is a terminal. */
  readonly isLive: boolean;
  readonly files: Files;
  /** What the user types, key by key, until it is closed. */
  openTerminal(): Terminal;
  connect(target: Target, ca: string | undefined): Api & { close(): void };
  readonly postForm: PostForm;
  /** To the agent of a datacenter, for people who are there. */
  connectSite(place: SitePlace, signal: AbortSignal): Promise<Api & { close(): void }>;
}

/** Sends one form. @throws an Error with the system's words when there is no answer */
export type PostForm = (
  what: { readonly url: string; readonly form: Readonly<Record<string, string>>; readonly ca: string | undefined },
  signal: AbortSignal,
) => Promise<{ readonly status: number; readonly body: string }>;

export interface Terminal {
  /** Ends with the input, or with the signal. */
  typed(signal: AbortSignal): AsyncIterable<Uint8Array>;
  close(): void;
}

export interface Files {
  readonly settingsPath: string;
  /** @param path a file, or `-` for the standard input. @throws an Error with the system's words */
  read(path: string): Promise<string>;
  /** Undefined when there are none yet. */
  readSettings(): Promise<string | undefined>;
  /** Readable by this user alone, replaced in one step. */
  writeSettings(text: string): Promise<void>;
}

export async function loadSettings(cli: Cli): Promise<Settings> {
  const text = await cli.files.readSettings();
  if (text === undefined) return noSettings;
  const settings = parseSettings(text);
  if (!settings.ok) throw new Failure(`${cli.files.settingsPath}: ${settings.error}`, 2);
  return settings.value;
}

export const saveSettings = (cli: Cli, settings: Settings): Promise<void> =>
  cli.files.writeSettings(settingsText(settings));

/** @throws {Failure} that names the file */
export async function readFile(cli: Cli, path: string): Promise<string> {
  try {
    return await cli.files.read(path);
  } catch (error) {
    throw new Failure(`cannot read ${path}: ${error instanceof Error ? error.message : error}`, 2);
  }
}

/** A value given as `@file` is what stands in that file; anything else is meant as it is. */
export const valueOrFile = async (cli: Cli, text: string): Promise<string> =>
  text.startsWith("@") ? await readFile(cli, text.slice(1)) : text;

/** Runs `work` on a connection to the server that flags, environment and settings name, and closes it in any case. */
export async function withApi<T>(
  cli: Cli,
  flags: ConnectFlags,
  work: (api: Api, target: Target) => Promise<T>,
): Promise<T> {
  const token = flags.tokenFile === undefined ? undefined : await readFile(cli, flags.tokenFile);
  const target = wanted(targetOf({ ...flags, token }, cli.env, await loadSettings(cli)));
  return onTarget(cli, target, work);
}

export async function onTarget<T>(
  cli: Cli,
  target: Target,
  work: (api: Api, target: Target) => Promise<T>,
): Promise<T> {
  const api = cli.connect(target, target.ca === undefined ? undefined : await readFile(cli, target.ca));
  try {
    return await work(api, target);
  } catch (error) {
    if (cli.signal.aborted) throw new Failure("interrupted", 130);
    throw explain(error, target.server);
  } finally {
    api.close();
  }
}

/** The value, or the failure of wrong usage. */
export function wanted<T>(result: Result<T>): T {
  if (!result.ok) throw new Failure(result.error, 2);
  return result.value;
}

export const say = (cli: Cli, text: string): void => cli.process.stdout.write(text);
/** For people, beside the result: progress, notices. */
export const note = (cli: Cli, text: string): void => cli.process.stderr.write(`${text}\n`);
