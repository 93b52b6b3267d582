import { ipv4Text } from "#lib/net/ipv4.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import { architectures } from "./architecture.ts";
import type { Client } from "./client.ts";
import type { ServerSettings } from "./settings.ts";

/** What a client loads next. */
export interface BootFile {
  /** A name for TFTP, or a URL */
  readonly name: string;
  /** Text of option 66; for TFTP only */
  readonly tftpServer: string | undefined;
  /** The vendor class `HTTPClient` must come back, or UEFI HTTP Boot ignores the offer. */
  readonly isHttpBoot: boolean;
}

/**
 * @param scriptUrl what the catalog wants iPXE to run
 * @returns undefined when there is nothing to load: no boot is asked for, or iPXE has no script
 */
export function bootFileOf(
  client: Client,
  scriptUrl: string | undefined,
  settings: ServerSettings,
): Result<BootFile | undefined> {
  if (!client.isBooting) return ok(undefined);
  if (client.isIpxe && !(client.lacksHttp && scriptUrl?.startsWith("http")))
    return ok(scriptUrl === undefined ? undefined : { name: scriptUrl, tftpServer: undefined, isHttpBoot: false });
  const code = client.architecture ?? 0;
  const known = architectures.get(code);
  const file = settings.bootFiles?.get(code) ?? known?.bootFile;
  if (file === undefined) return fail(`no boot file for architecture ${code} (${known?.name ?? "unknown"})`);
  if (!client.isHttpBoot && known?.fetch !== "http")
    return ok({ name: file, tftpServer: ipv4Text(settings.address), isHttpBoot: false });
  if (settings.httpBase === undefined) return fail(`architecture ${code} boots by HTTP, and no HTTP address is set`);
  return ok({ name: `${settings.httpBase}${file}`, tftpServer: undefined, isHttpBoot: true });
}
