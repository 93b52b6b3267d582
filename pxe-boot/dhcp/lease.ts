import type { Ipv4 } from "#lib/net/ipv4.ts";
import type { Holder } from "./client.ts";

/**
 * What is known of one address.
 * `offered`: kept for a client that has not asked yet; in memory only. `bound`: acknowledged. `released`: given back, still
 * the first choice for the same holder. `declined`: a client found somebody else there; nobody gets it until then.
 */
export type LeaseState = "offered" | "bound" | "released" | "declined";

export interface Lease {
  readonly address: Ipv4;
  readonly holder: Holder;
  readonly state: LeaseState;
  /** Wall-clock milliseconds: leases outlive the process. */
  readonly untilMs: number;
}

/** Where leases are kept; owned by whoever runs the server. */
export interface LeaseStore {
  /** Read once, at the start. */
  load(): Iterable<Lease>;
  /** All of them or none; durable when it resolves. A later lease of an address replaces the earlier one. */
  save(leases: readonly Lease[]): Promise<void>;
}
