// Which server to talk to, and as whom: the configuration file, the environment and the flags, in this order of weight.
import * as v from "valibot";
import { parse, stringify } from "yaml";
import { fail, ok, type Result } from "#lib/result.ts";
import { Secret } from "#lib/secret.ts";

const contextSchema = v.strictObject({
  server: v.string(),
  token: v.optional(v.string()),
  ca: v.optional(v.string()),
  project: v.optional(v.string()),
});
const settingsSchema = v.strictObject({
  current: v.optional(v.string()),
  contexts: v.optional(v.record(v.string(), contextSchema), {}),
});

/** One server that was logged in to. `ca` is the path of a PEM file. */
export type Context = v.InferOutput<typeof contextSchema>;
export type Settings = v.InferOutput<typeof settingsSchema>;

export const noSettings: Settings = { contexts: {} };

/** Where a call goes. `ca` is a path; `project` scopes what is asked. */
export interface Target {
  readonly server: string;
  readonly token: Secret | undefined;
  readonly ca: string | undefined;
  readonly project: string | undefined;
  /** Why something is changed. */
  readonly reason?: string;
}

export function parseSettings(text: string): Result<Settings> {
  let raw: unknown;
  try {
    raw = parse(text) ?? {};
  } catch (error) {
    return fail(`not YAML: ${error instanceof Error ? error.message.split("\n")[0] : error}`);
  }
  const checked = v.safeParse(settingsSchema, raw);
  if (checked.success) return ok(checked.output);
  return fail(checked.issues.map((issue) => `${v.getDotPath(issue) ?? "the file"}: ${issue.message}`).join("; "));
}

export const settingsText = (settings: Settings): string => stringify(settings);

/** What was said on the command line; `token` is what stands in the file that `--token-file` names. */
export interface Said {
  readonly server?: string | undefined;
  readonly token?: string | undefined;
  readonly ca?: string | undefined;
  readonly project?: string | undefined;
  readonly context?: string | undefined;
  readonly reason?: string | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * A token is sent only to the server that it was stored for: a context's token, CA and project are left out when another
 * server is named.
 */
export function targetOf(said: Said, env: Environment, settings: Settings): Result<Target> {
  const name = said.context ?? env.HOLDFAST_CONTEXT ?? settings.current;
  const stored = name === undefined ? undefined : settings.contexts[name];
  if (name !== undefined && stored === undefined) {
    const known = Object.keys(settings.contexts).join(", ") || "none";
    return fail(`context ${name} is not known (known: ${known}); holdfast login --name ${name} makes it`);
  }
  const wanted = said.server ?? env.HOLDFAST_SERVER ?? stored?.server;
  if (wanted === undefined) {
    return fail("no server: holdfast login --server URL --token-file FILE, or set HOLDFAST_SERVER and HOLDFAST_TOKEN");
  }
  const server = parseServer(wanted);
  if (!server.ok) return server;
  const own =
    stored !== undefined && parseServer(stored.server).ok && stored.server === server.value ? stored : undefined;
  const reason = said.reason ?? env.HOLDFAST_REASON;
  if (reason !== undefined && !/^[\x20-\x7e]+$/.test(reason))
    return fail("--reason (HOLDFAST_REASON): visible ASCII characters and blanks are wanted");
  const token = said.token ?? env.HOLDFAST_TOKEN ?? own?.token;
  return ok({
    server: server.value,
    token: token ? new Secret(token.trim()) : undefined,
    ca: said.ca ?? env.HOLDFAST_CA ?? own?.ca,
    project: said.project ?? env.HOLDFAST_PROJECT ?? own?.project,
    ...(reason !== undefined && { reason }),
  });
}

/** @returns the URL without a trailing slash */
export function parseServer(text: string): Result<string> {
  const wanted = `server ${text}: a URL is wanted, such as https://holdfast.example:8443 or http://127.0.0.1:8080`;
  if (!URL.canParse(text)) return fail(wanted);
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:") return fail(wanted);
  if (url.username !== "" || url.search !== "" || url.hash !== "") return fail(`${wanted}, without user, ? or #`);
  return ok(url.href.replace(/\/+$/, ""));
}

/** The settings with one context added or replaced, and made the current one. */
export const withContext = (settings: Settings, name: string, context: Context): Settings => ({
  current: name,
  contexts: { ...settings.contexts, [name]: context },
});

/** The settings without a context; the first that is left becomes the current one. */
export function withoutContext(settings: Settings, name: string): Settings {
  const contexts = Object.fromEntries(Object.entries(settings.contexts).filter(([key]) => key !== name));
  const current = settings.current === name ? Object.keys(contexts)[0] : settings.current;
  return current === undefined ? { contexts } : { current, contexts };
}
