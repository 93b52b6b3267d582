// What every daemon does around its own work: configuration, log, start, signals, stop.
import { setMaxListeners } from "node:events";
import { readFile } from "node:fs/promises";
import type * as v from "valibot";
import { type ConfigSchema, configHelp, readConfig } from "../config.ts";
import { Lifetime } from "../lifetime.ts";
import type { Log } from "../log.ts";
import { pinoLog } from "./pino-log.ts";

/** What is configured by flags, environment and a file. */
export interface Program<S extends ConfigSchema> {
  readonly name: string;
  /** One line for `--help`. */
  readonly about: string;
  readonly schema: S;
}

export interface Daemon<S extends ConfigSchema> extends Program<S> {
  readonly logLevel: (config: v.InferOutput<S>) => string;
  /** Resolves when the daemon serves. */
  readonly start: (
    config: v.InferOutput<S>,
    ports: { readonly log: Log; readonly lifetime: Lifetime },
  ) => Promise<void>;
}

const exitUsage = 2;
/** A stop that takes longer is cut short. */
const stopDeadlineMs = 20_000;

/** Runs until SIGINT or SIGTERM. Exits with 2 for a wrong configuration, 1 when it cannot start. */
export async function runDaemon<S extends ConfigSchema>(daemon: Daemon<S>): Promise<void> {
  const config = await configured(daemon, process.argv.slice(2));
  if (config === undefined) return;
  const log = pinoLog(daemon.logLevel(config.value));
  const lifetime = new Lifetime(log);
  // Whatever runs listens to it, so many do, and that is no leak.
  setMaxListeners(0, lifetime.signal);
  const stopped = stopOnSignal(daemon.name, log, lifetime);
  try {
    await daemon.start(config.value, { log, lifetime });
    log.info("ready", { daemon: daemon.name, pid: process.pid });
  } catch (error) {
    log.error("start-failed", { daemon: daemon.name, error });
    await lifetime.stop();
    process.exit(1);
  }
  await stopped;
}

/**
 * The configuration that the words, the environment and the file make.
 * @returns undefined when there is nothing more to do: help was printed, or everything that is wrong (exit 2)
 */
export async function configured<S extends ConfigSchema>(
  program: Program<S>,
  words: readonly string[],
): Promise<{ readonly value: v.InferOutput<S> } | undefined> {
  const { name, schema } = program;
  const argv = [...words];
  if (argv.includes("--help") || argv.includes("-h")) {
    process.stdout.write(configHelp(program, schema));
    return undefined;
  }
  const problems: string[] = [];
  const file = await configFile(argv, problems);
  const config = readConfig(schema, { argv, env: process.env, file });
  if (config.ok && problems.length === 0) return { value: config.value };
  const all = [...problems, ...(config.ok ? [] : config.error)];
  process.stderr.write(
    `${name}: the configuration has ${all.length === 1 ? "a problem" : `${all.length} problems`}:\n`,
  );
  for (const problem of all) process.stderr.write(`  ${problem}\n`);
  process.exitCode = exitUsage;
  return undefined;
}

/** Takes `--config FILE` out of the words, or HOLDFAST_CONFIG. */
async function configFile(argv: string[], problems: string[]): Promise<{ name: string; text: string } | undefined> {
  const at = argv.findIndex((word) => word === "--config" || word.startsWith("--config="));
  const word = argv[at];
  let name = process.env.HOLDFAST_CONFIG;
  if (word !== undefined) {
    const inline = word.startsWith("--config=") ? word.slice("--config=".length) : undefined;
    name = inline ?? argv[at + 1];
    argv.splice(at, inline === undefined ? 2 : 1);
    if (name === undefined) problems.push("--config: a file name is wanted");
  }
  if (name === undefined) return undefined;
  try {
    return { name, text: await readFile(name, "utf8") };
  } catch (error) {
    problems.push(`--config ${name}: ${(error as Error).message}`);
    return undefined;
  }
}

function stopOnSignal(name: string, log: Log, lifetime: Lifetime): Promise<void> {
  return new Promise((resolve) => {
    const stop = (signal: NodeJS.Signals) => {
      log.info("stopping", { daemon: name, signal });
      const cut = setTimeout(() => {
        log.error("stop-cut-short", { daemon: name, afterMs: stopDeadlineMs });
        process.exit(1);
      }, stopDeadlineMs);
      void lifetime.stop().then(() => {
        clearTimeout(cut);
        log.info("stopped", { daemon: name });
        resolve();
      });
    };
    process.once("SIGINT", stop);
    process.once("SIGTERM", stop);
  });
}
