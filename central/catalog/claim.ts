// Uniqueness and order that no key of a thing itself gives: keys of their own, held in the same transaction.
import { create } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

/** Who holds a claim. @param what such as `vrf/42` */
export const holderOf = (tx: Tx, what: string): string | undefined => tx.get(kinds.claim, what)?.value;

/** Takes it; the commit fails when somebody else does so at the same time. */
export const claim = (tx: Tx, what: string, holder: string, options: { readonly ttlMs?: number } = {}): void =>
  tx.put(kinds.claim, what, create(StringValueSchema, { value: holder }), options);

export const unclaim = (tx: Tx, what: string): void => tx.delete(kinds.claim, what);

/**
 * Puts this transaction in line with all others that take their turn at the same thing: they see each other's writes, although
 * lists are not conditioned.
 */
export function claimTurn(tx: Tx, what: string): void {
  const last = BigInt(holderOf(tx, turnOf(what)) ?? 0);
  claim(tx, turnOf(what), String(last + 1n));
}

/** The claim by which turns are taken. */
export const turnOf = (what: string): string => `turn/${what}`;
