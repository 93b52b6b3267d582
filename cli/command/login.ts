import { Code, ConnectError } from "@connectrpc/connect";
import { TokenService } from "#gen/metalstack/api/v2/token_pb.ts";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { type Cli, loadSettings, note, onTarget, readFile, saveSettings, say, wanted } from "../cli.ts";
import { Failure } from "../failure.ts";
import { type Context, parseServer, type Settings, targetOf, withContext, withoutContext } from "../settings.ts";
import { table } from "../view/table.ts";
import { given } from "./create.ts";
import { deviceToken } from "./device-login.ts";

export interface LoginFlags {
  readonly server: string;
  readonly tokenFile?: string | undefined;
  readonly device: boolean;
  readonly ca?: string | undefined;
  readonly project?: string | undefined;
  readonly name: string;
}

/** Tries the token before it is stored, so that a stored one has worked once. */
export async function login(this: Cli, flags: LoginFlags): Promise<void> {
  const server = wanted(parseServer(flags.server));
  const token = await tokenBy(this, flags, server);
  const context: Context = { server, token, ...given("ca", flags.ca), ...given("project", flags.project) };
  const settings = withContext(await loadSettings(this), flags.name, context);
  // The flags alone say where this goes: an environment for another server must not get in between.
  const target = wanted(targetOf({ context: flags.name }, {}, settings));
  const version = await onTarget(this, target, async (api) => {
    const answer = await api.client(VersionService).get({});
    await api.client(TokenService).list({}).catch(unlessUnimplemented);
    return answer.version?.version ?? "of unknown version";
  });
  await saveSettings(this, settings);
  if (isClearText(server)) note(this, `warning: ${server} is not encrypted; the token can be read on the way`);
  note(this, `logged in to ${server} (${version}); stored as ${flags.name} in ${this.files.settingsPath}`);
}

async function tokenBy(cli: Cli, { tokenFile, device, ca }: LoginFlags, server: string): Promise<string> {
  if ((tokenFile === undefined) !== device) throw new Failure("either --token-file FILE or --device is wanted", 2);
  if (tokenFile === undefined) return deviceToken(cli, server, ca);
  const token = (await readFile(cli, tokenFile)).trim();
  if (token === "" || /\s/.test(token)) throw new Failure(`${tokenFile}: one token without white space is wanted`, 2);
  return token;
}

function unlessUnimplemented(error: unknown): void {
  if (!(error instanceof ConnectError) || error.code !== Code.Unimplemented) throw error;
}

const isClearText = (server: string): boolean =>
  server.startsWith("http:") && !/^http:\/\/(127\.|localhost[:/]|localhost$|\[::1\])/.test(server);

export async function logout(this: Cli, flags: { readonly name?: string | undefined }): Promise<void> {
  const settings = await loadSettings(this);
  const name = flags.name ?? settings.current;
  if (name === undefined || settings.contexts[name] === undefined)
    throw new Failure(`there is no login ${name ?? ""}`.trim());
  await saveSettings(this, withoutContext(settings, name));
  note(this, `forgot ${name}; its token stays valid until it is revoked or expires`);
}

export async function listContexts(this: Cli): Promise<void> {
  const settings = await loadSettings(this);
  const rows = Object.entries(settings.contexts).map(([name, context]) => ({ name, ...context }));
  say(
    this,
    table(
      rows,
      [
        { title: "", of: (r) => (r.name === settings.current ? "*" : " ") },
        { title: "NAME", of: (r) => r.name },
        { title: "SERVER", of: (r) => r.server },
        { title: "PROJECT", of: (r) => r.project ?? "" },
        { title: "CA", of: (r) => r.ca ?? "" },
      ],
      "narrow",
    ),
  );
}

export async function useContext(this: Cli, _flags: Record<never, never>, name: string): Promise<void> {
  const settings = await loadSettings(this);
  if (settings.contexts[name] === undefined)
    throw new Failure(`context ${name} is not known; holdfast login --name ${name} makes it`);
  await saveSettings(this, { ...settings, current: name });
}

/** Sets the project that the current context's commands act in. */
export async function useProject(this: Cli, _flags: Record<never, never>, project: string): Promise<void> {
  const settings: Settings = await loadSettings(this);
  const current = settings.current === undefined ? undefined : settings.contexts[settings.current];
  if (settings.current === undefined || current === undefined)
    throw new Failure("there is no current context: holdfast login");
  await saveSettings(this, withContext(settings, settings.current, { ...current, project }));
}
