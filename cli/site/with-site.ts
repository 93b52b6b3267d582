import type { Client } from "@connectrpc/connect";
import { SiteService } from "#gen/holdfast/site/v1/site_pb.ts";
import { type Cli, readFile, wanted } from "../cli.ts";
import { type Advice, explain, Failure } from "../failure.ts";
import { text } from "../flags.ts";
import { placeText, type SitePlace, sitePlace } from "./place.ts";

export interface SiteFlags {
  readonly socket?: string | undefined;
  readonly server?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly fingerprint?: string | undefined;
}

export const siteFlags = {
  socket: text("Socket of the agent on this host (HOLDFAST_SITE_SOCKET)", "PATH"),
  server: text("Address of the agent instead, when it is on another host", "URL"),
  tokenFile: text("File with the site's token, for --server", "FILE"),
  fingerprint: text("SHA-256 of the agent's certificate, for --server", "HEX"),
} as const;

const advice = ({ kind }: SitePlace): Advice => ({
  unreachable:
    kind === "socket"
      ? "is the agent running, and are you root or its user? Another one: --socket PATH or HOLDFAST_SITE_SOCKET"
      : "is the agent running, and is site.address in its configuration?",
  untrusted: "compare --fingerprint with the one in the agent's log",
  token: "`holdfast site rotate-token` on the agent's host makes a new one",
  denied: "the agent allows it to nobody on site",
});

/** Runs `work` on a connection to the agent, and closes it in any case. */
export async function withSite<T>(
  cli: Cli,
  flags: SiteFlags,
  work: (site: Client<typeof SiteService>) => Promise<T>,
): Promise<T> {
  const token = flags.tokenFile === undefined ? undefined : await readFile(cli, flags.tokenFile);
  const place = wanted(sitePlace({ ...flags, token }, cli.env, cli.user));
  let api: Awaited<ReturnType<Cli["connectSite"]>> | undefined;
  try {
    api = await cli.connectSite(place, cli.signal);
    return await work(api.client(SiteService));
  } catch (error) {
    if (cli.signal.aborted) throw new Failure("interrupted", 130);
    throw explain(error, placeText(place), advice(place));
  } finally {
    api?.close();
  }
}
