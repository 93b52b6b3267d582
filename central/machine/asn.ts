// Every allocation has an autonomous system number of its own, for as long as it lasts.
import { beyond, freeNumber } from "#domain/network/free.ts";
import { Refusal } from "#lib/refusal.ts";
import { claim, holderOf, unclaim } from "../catalog/claim.ts";
import type { Spaces } from "../network/spaces.ts";
import type { Tx } from "../store/tx.ts";

/** Private ASNs that machines get (RFC 6996): 4210000001 to 4210131072. */
const first = 4_210_000_001;
const count = 131_072;
const last = first + count - 1;
export const asnPool = { first: BigInt(first), last: BigInt(last) };

export const asnClaim = (asn: number): string => `asn/${asn}`;

/** @param from where in the pool the search begins, so that a number that was given back is not used again at once */
export function takeAsn(tx: Tx, { numbers }: Spaces, allocation: string, from: number): number {
  const asn = freeNumber(tx.folded(numbers, "asn"), asnPool, beyond(from));
  if (asn === undefined) {
    const text = `all ${count} ASNs are taken, ${first} to ${last}: each allocation has one`;
    throw new Refusal("exhausted", text, { reason: "NO_ASN" });
  }
  claim(tx, asnClaim(Number(asn)), allocation);
  return Number(asn);
}

/** Gives a number back, when it is this allocation's own. */
export function giveBackAsn(tx: Tx, asn: number, allocation: string): void {
  if (holderOf(tx, asnClaim(asn)) === allocation) unclaim(tx, asnClaim(asn));
}
