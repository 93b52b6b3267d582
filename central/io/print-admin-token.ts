// The command that makes a further token for an administrator, beside the API and with the store itself.
import { hourMs } from "#lib/durations.ts";
import { secretFile } from "#lib/io/secret-file.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { type Log, silentLog } from "#lib/log.ts";
import { reasonOf } from "#lib/reason-of.ts";
import type { AdminTokenConfig } from "../config.ts";
import { furtherAdminToken } from "../identity/admin-token.ts";
import { openIdentity } from "../identity/identity.ts";
import { openState } from "../store/state.ts";
import { tokenIssuer as issuer, openStore } from "./central.ts";
import { newSigningKey } from "./new-signing-key.ts";

/**
 * @param print takes what goes to standard output
 * @param warn takes a line about a store that is away, which is tried again and again
 * @throws when the store cannot be had; an embedded one is central's alone while central runs
 */
export async function printAdminToken(
  config: AdminTokenConfig,
  { print, warn }: { readonly print: (text: string) => void; readonly warn: (text: string) => void },
): Promise<void> {
  const log: Log = { ...silentLog, warn: (event, fields) => warn(`${event}: ${reasonOf(fields?.error)}\n`) };
  const { provider, token: wanted } = config;
  if (config.store.kind === "memory") throw new Error("store.kind memory: what another process stores is not here");
  const store = await openStore(config, log);
  const stop = new AbortController();
  try {
    const state = await openState({ store, clock, random, log }, stop.signal);
    try {
      const identity = await openIdentity({ state, clock, random, newSigningKey, provider, issuer });
      const ports = { state, identity, clock, provider };
      const { user, hours, file } = wanted;
      const { secret, token } = await furtherAdminToken(ports, { user, lifetimeMs: hours * hourMs });
      if (file === undefined) print(`${secret.reveal()}\n`);
      else {
        await secretFile(file).write(`${secret.reveal()}\n`);
        print(`token ${token.uuid} of ${user} is in ${file}\n`);
      }
    } finally {
      stop.abort();
      await state.close();
    }
  } finally {
    await store.close();
  }
}
