// Every allocation has an autonomous system number of its own, for as long as it lasts.
import { Refusal } from "#lib/refusal.ts";
import { claim, holderOf, unclaim } from "../catalog/claim.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";

/** Private ASNs that machines get (RFC 6996): 4210000001 to 4210131072. */
const first = 4_210_000_001;
const count = 131_072;

const claimOf = (asn: number): string => `asn/${asn}`;

/**
 * @param peek looked at without a condition: only the number that is taken in the end must still be free at the commit
 * @param from where in the pool the search begins, so that a number that was given back is not used again at once
 */
export function takeAsn(tx: Tx, peek: Pick<State, "get">, allocation: string, from: number): number {
  for (let i = 0; i < count; i++) {
    const asn = first + ((from + i) % count);
    if (peek.get(kinds.claim, claimOf(asn)) !== undefined) continue;
    claim(tx, claimOf(asn), allocation);
    return asn;
  }
  throw new Refusal("exhausted", `all ${count} ASNs are taken`, { reason: "NO_ASN" });
}

/** Gives a number back, when it is this allocation's own. */
export function giveBackAsn(tx: Tx, asn: number, allocation: string): void {
  if (holderOf(tx, claimOf(asn)) === allocation) unclaim(tx, claimOf(asn));
}
