import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { noticeMs } from "./key-plan.ts";
import type { Keyring } from "./keyring.ts";
import { isSpent, liveGrants } from "./live-grants.ts";
import { tokensFor } from "./tokens-of.ts";

interface Ports {
  readonly state: State;
  readonly clock: Clock;
  readonly keyring: Keyring;
  readonly log: Log;
}

/** How often the keys are looked at. */
const lookMs = noticeMs / 4;

/** What has to be done about keys and tokens while time passes and things are deleted. */
export async function keepIdentity(ports: Ports, signal: AbortSignal): Promise<void> {
  await Promise.all([keepKeys(ports, signal), dropSpent(ports, signal)]);
}

async function keepKeys({ clock, keyring, log }: Ports, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(lookMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const made = await keyring.rotate();
      if (made !== undefined) log.info("signing-key-made", { key: made });
    } catch (error) {
      log.warn("signing-keys-not-rotated", { error });
    }
  }
}

/**
 * Revokes the tokens that were for a deleted project or tenant and for nothing else. They grant nothing from the deletion on, so
 * one that is left over by a central that dies in between is just a row until it expires.
 */
async function dropSpent(ports: Ports, signal: AbortSignal): Promise<void> {
  const { state, log } = ports;
  const bySubject = tokensFor(state);
  while (!signal.aborted) {
    try {
      for await (const { changes } of state.changes(signal)) {
        for (const { kind, id, value } of changes) {
          const isSubject = kind.name === kinds.project.name || kind.name === kinds.tenant.name;
          if (!isSubject || value !== undefined) continue;
          for (const { id: uuid } of state.by(bySubject, id)) await dropIfSpent(state, uuid);
        }
      }
      return;
    } catch (error) {
      // Behind, or of another history: what is missed is a row that grants nothing.
      if (!signal.aborted) log.warn("spent-tokens-not-dropped", { error });
      await ports.clock.sleep(1_000, signal).catch(() => undefined);
    }
  }
}

const dropIfSpent = (state: State, uuid: string) =>
  state.transact((tx) => {
    if (tx.get(kinds.token, uuid) === undefined) return;
    const stored = state.get(kinds.token, uuid);
    const token = stored?.value.token;
    if (stored && token && isSpent(token, liveGrants(state, stored, token))) tx.delete(kinds.token, uuid);
  });
