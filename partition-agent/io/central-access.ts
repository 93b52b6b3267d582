// How this agent reaches central: with a token from a file, or with a certificate that it got for a join token.
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import type { Clock } from "#lib/clock.ts";
import type { Disk } from "#lib/disk.ts";
import { ecdsaKeys as keys } from "#lib/io/ecdsa-keys.ts";
import { secretFile } from "#lib/io/secret-file.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { reasonOf } from "#lib/reason-of.ts";
import type { AgentConfig } from "../config.ts";
import { JoinedClient } from "../identity/joined-client.ts";
import { Joiner } from "../identity/joiner.ts";
import type { SyncClient } from "../link/link.ts";
import { tlsOf, trusting } from "./central-tls.ts";
import { joinClient } from "./join-client.ts";
import { syncClient } from "./sync-client.ts";

export interface CentralAccess {
  readonly client: SyncClient;
  /** Present where central knows the agent by a certificate. */
  readonly joiner?: Joiner;
}

/** @throws when the file with central's authority cannot be read */
export async function centralAccess(
  { partition, central }: Pick<AgentConfig, "partition" | "central">,
  ports: { readonly disk: Disk; readonly clock: Clock; readonly random: Random; readonly log: Log },
): Promise<CentralAccess> {
  const { url, tokenFile, joinTokenFile } = central;
  const ca = central.caFile === undefined ? undefined : await caOf(central.caFile);
  if (url !== undefined && tokenFile !== undefined) {
    const token = async () => (await readFile(tokenFile, "utf8")).trim();
    return { client: syncClient({ url, token, tls: trusting(ca) }) };
  }
  if (joinTokenFile === undefined)
    throw new Error("central.url and central.tokenFile, or central.joinTokenFile, are wanted");
  const joiner: Joiner = new Joiner({
    ...ports,
    partition,
    host: hostname(),
    file: secretFile(joinTokenFile),
    client: joinClient({ url, ca }),
    changed: () => client.changed(),
    keys,
  });
  const client = new JoinedClient({
    identity: () => joiner.identity,
    why: () => joiner.status.problem,
    unknown: (identity) => joiner.unknown(identity),
    dial: (identity) => syncClient({ url: url ?? identity.endpoint, tls: tlsOf(identity, ca) }),
  });
  return { client, joiner };
}

async function caOf(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new Error(`central.caFile ${file}: ${reasonOf(error)}`);
  }
}
