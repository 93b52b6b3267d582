import { beyond, freeNumber } from "#domain/network/free.ts";
import { vrfPool } from "#domain/network/rules.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { claim, holderOf, unclaim } from "../catalog/claim.ts";
import type { Tx } from "../store/tx.ts";
import type { Spaces } from "./spaces.ts";

/** Those that are given to networks which ask for none. */
export const vrfNumbers = { first: 1n, last: BigInt(vrfPool) };

const claimOf = (vrf: number): string => `vrf/${vrf}`;

export const holderOfVrf = (tx: Tx, vrf: number): string | undefined => holderOf(tx, claimOf(vrf));

/** Takes this very VRF for a network. */
export function takeVrf(tx: Tx, vrf: number, network: string): void {
  const holder = holderOfVrf(tx, vrf);
  if (holder !== undefined && holder !== network) {
    throw new Refusal("exists", `VRF ${vrf} is taken by network ${holder}`, { reason: "VRF_TAKEN", field: "vrf" });
  }
  claim(tx, claimOf(vrf), network);
}

/** Takes some free VRF of the pool. The search begins anywhere, so that a VRF given back is not reused at once. */
export function takeAnyVrf(tx: Tx, { numbers }: Spaces, network: string, random: Random): number {
  const vrf = freeNumber(tx.folded(numbers, "vrf"), vrfNumbers, beyond(random.below(vrfPool)));
  if (vrf === undefined) {
    throw new Refusal("exhausted", `all ${vrfPool} VRFs are taken, 1 to ${vrfPool}: delete networks that have one`, {
      reason: "VRFS_EXHAUSTED",
    });
  }
  claim(tx, claimOf(Number(vrf)), network);
  return Number(vrf);
}

/** Gives a VRF back, when it is this network's own and not inherited. */
export function giveBackVrf(tx: Tx, vrf: number | undefined, network: string): void {
  if (vrf !== undefined && holderOf(tx, claimOf(vrf)) === network) unclaim(tx, claimOf(vrf));
}
