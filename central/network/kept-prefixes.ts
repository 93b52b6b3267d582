// A network loses prefixes although addresses are taken of it at the same time, at whatever central. First a claim says what it keeps.
// Whoever takes an address reads that under a condition: who has not read it loses the race, or was first and is seen; who has takes only of
// what stays. Then, in one transaction, it is looked who has an address of the rest, the prefixes change, and the claim goes. That of a
// central that dies in between goes by itself.
import { isUsableIn, usableInBoth } from "#domain/network/pool.ts";
import { type Prefix, prefixText } from "#domain/network/prefix.ts";
import { knownPrefixes } from "#domain/network/rules.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { claim, holderOf, unclaim } from "../catalog/claim.ts";
import { beside, type Cause } from "../history/cause.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";

/** No change takes as long. */
const keptMs = 60_000;

const claimOf = (network: string): string => `kept-prefixes/${network}`;

/** Of which addresses may be taken. @param network as this transaction got it */
export function openPrefixes(tx: Tx, { id, prefixes }: Network): readonly Prefix[] {
  const kept = holderOf(tx, claimOf(id));
  const all = knownPrefixes(prefixes);
  return kept === undefined ? all : usableInBoth(all, knownPrefixes(kept.split(",")));
}

/** Whether there may be addresses that would be in no prefix any more. */
export function isNarrowed(before: readonly string[], after: readonly string[]): boolean {
  const kept = knownPrefixes(after);
  return !knownPrefixes(before).every((p) => isUsableIn(p, kept));
}

/**
 * Carries out a change of a network's prefixes, which is told first if it narrows them.
 * @param wanted from now on; when empty, they stay as they are
 * @param change calls `checkKept` in its transaction
 */
export async function narrowing<R>(
  state: State,
  { id, prefixes }: Network,
  wanted: readonly string[],
  cause: Cause,
  change: () => Promise<R>,
): Promise<R> {
  const kept = knownPrefixes(wanted).map(prefixText);
  if (kept.length === 0 || !isNarrowed(prefixes, kept)) return await change();
  await state.transact((tx) => claim(tx, claimOf(id), kept.join(), { ttlMs: keptMs }), beside(cause));
  try {
    return await change();
  } catch (error) {
    const giveUp = (tx: Tx) => {
      if (holderOf(tx, claimOf(id)) === kept.join()) unclaim(tx, claimOf(id));
    };
    await state.transact(giveUp, beside(cause)).catch(() => undefined);
    throw error;
  }
}

/** Before it is looked who has an address of what goes: it was told, so all of them are seen. Ends the telling. */
export function checkKept(tx: Tx, { id, prefixes }: Network): void {
  if (holderOf(tx, claimOf(id)) !== prefixes.join()) {
    throw new Refusal("conflict", `others changed the prefixes of network ${id} meanwhile: try again`, {
      reason: "CONFLICT",
      field: "prefixes",
    });
  }
  unclaim(tx, claimOf(id));
}
