import { vrfPool } from "#domain/network/rules.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { claim, holderOf, unclaim } from "../catalog/claim.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

const prefix = "vrf/";
const claimOf = (vrf: number): string => `${prefix}${vrf}`;

/** Takes this very VRF for a network. */
export function takeVrf(tx: Tx, vrf: number, network: string): void {
  const holder = holderOf(tx, claimOf(vrf));
  if (holder !== undefined && holder !== network) {
    throw new Refusal("exists", `VRF ${vrf} is taken by network ${holder}`, { reason: "VRF_TAKEN", field: "vrf" });
  }
  claim(tx, claimOf(vrf), network);
}

/** Takes some free VRF of the pool. The search begins anywhere, so that a VRF given back is not reused at once. */
export function takeAnyVrf(tx: Tx, network: string, random: Random): number {
  const taken = new Set(tx.list(kinds.claim).map((row) => row.id));
  const start = random.below(vrfPool);
  for (let i = 0; i < vrfPool; i++) {
    const vrf = 1 + ((start + i) % vrfPool);
    if (taken.has(claimOf(vrf))) continue;
    claim(tx, claimOf(vrf), network);
    return vrf;
  }
  throw new Refusal("exhausted", `all ${vrfPool} VRFs are taken`, { reason: "VRFS_EXHAUSTED" });
}

/** Gives a VRF back, when it is this network's own and not inherited. */
export function giveBackVrf(tx: Tx, vrf: number | undefined, network: string): void {
  if (vrf !== undefined && holderOf(tx, claimOf(vrf)) === network) unclaim(tx, claimOf(vrf));
}
