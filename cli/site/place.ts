// Which agent a person on site talks to: its socket on this host, or its address with the site's token.
import { fail, ok, type Result } from "#lib/result.ts";
import { Secret } from "#lib/secret.ts";
import type { Environment } from "../settings.ts";
import { parseServer } from "../settings.ts";

export type SitePlace = {
  /** Written down by the agent beside what is done. */
  readonly user: string;
} & (
  | { readonly kind: "socket"; readonly path: string }
  | { readonly kind: "address"; readonly server: string; readonly token: Secret; readonly fingerprint: string }
);

/** `token` is what stands in the file that `--token-file` names. */
export interface SaidPlace {
  readonly socket?: string | undefined;
  readonly server?: string | undefined;
  readonly token?: string | undefined;
  readonly fingerprint?: string | undefined;
}

/** Where the README's agent has its socket. */
const usualSocket = ".holdfast/agent/site.sock";

export function sitePlace(said: SaidPlace, env: Environment, user: string): Result<SitePlace> {
  if (said.server === undefined) {
    if (said.token !== undefined || said.fingerprint !== undefined)
      return fail("--token-file and --fingerprint belong to an address: --server https://ADDRESS:PORT");
    return ok({ kind: "socket", path: said.socket ?? env.HOLDFAST_SITE_SOCKET ?? usualSocket, user });
  }
  if (said.socket !== undefined) return fail("--socket and --server exclude each other");
  const server = parseServer(said.server);
  if (!server.ok) return server;
  if (!server.value.startsWith("https:"))
    return fail(`server ${said.server}: only https: is spoken with the site's token`);
  if (said.token === undefined || said.fingerprint === undefined)
    return fail(
      "an address needs the site's token and the certificate's fingerprint: --token-file FILE --fingerprint HEX",
    );
  const fingerprint = said.fingerprint.replaceAll(":", "").toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(fingerprint))
    return fail(`fingerprint ${said.fingerprint}: the SHA-256 of the certificate is wanted, 64 hex digits`);
  return ok({ kind: "address", server: server.value, token: new Secret(said.token.trim()), fingerprint, user });
}

export const placeText = (place: SitePlace): string =>
  place.kind === "socket" ? `socket ${place.path}` : place.server;
