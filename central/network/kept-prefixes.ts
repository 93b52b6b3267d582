// A network loses prefixes although addresses are taken of it at the same time, at whatever central. First it is announced what
// it keeps: whoever takes an address reads that, and takes only of what stays. Then, in one transaction, it is looked who has an address of
// the rest, the prefixes change, and the announcement goes.
import { isUsableIn, usableInBoth } from "#domain/network/pool.ts";
import { knownPrefixes } from "#domain/network/rules.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import { type Prefix, prefixText } from "#lib/net/prefix.ts";
import { Refusal } from "#lib/refusal.ts";
import { announced } from "../catalog/announce.ts";
import { holderOf, unclaim } from "../catalog/claim.ts";
import type { Cause } from "../history/cause.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";

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
  return await announced(state, cause, { what: claimOf(id), text: kept.join() }, change);
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
