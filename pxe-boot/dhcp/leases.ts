import { type Ipv4, ipv4Text } from "#lib/net/ipv4.ts";
import type { Holder } from "./client.ts";
import type { Lease, LeaseState } from "./lease.ts";
import { isHostAddress, type Subnet, subnetAt } from "./subnet.ts";

// Invariants: an address has one lease; `of` gives the last lease that a holder got in a subnet. Bounded by the
// number of addresses in the ranges plus the reservations, whatever clients send.
// Each state has its own queue, in order of the last change. A state lasts equally long for every lease of a subnet, so the
// front of a queue ends first, and finding an address to use again costs nothing.

/** Addresses looked at for one pick, so that a range full of reservations costs a bounded time. */
const probesMax = 1024;

const reusable: readonly LeaseState[] = ["released", "offered", "bound", "declined"];

interface Pool {
  readonly queues: Readonly<Record<LeaseState, Map<Ipv4, Lease>>>;
  cursor: number;
}

/** What deciding an answer may ask about the leases. */
export interface LeaseView {
  at(address: Ipv4): Lease | undefined;
  /** The lease of the holder in the subnet: the live one, else the one that ended last. */
  of(holder: Holder, subnet: Subnet): Lease | undefined;
  /** An address of the range that nobody holds: never used ones first, then the one that ended longest ago. */
  free(subnet: Subnet, isReserved: (address: Ipv4) => boolean, nowMs: number): Ipv4 | undefined;
}

export class Leases implements LeaseView {
  readonly #subnets: readonly Subnet[];
  readonly #byAddress = new Map<Ipv4, Lease>();
  readonly #byHolder = new Map<string, Lease>();
  readonly #pools = new Map<string, Pool>();

  /** @param stored what a store held; leases outside of the subnets are left out, they may come back with the next configuration */
  constructor(subnets: readonly Subnet[], stored: Iterable<Lease>) {
    this.#subnets = subnets;
    for (const subnet of subnets) this.#pools.set(subnet.name, emptyPool(subnet));
    for (const lease of Array.from(stored).sort(byRankThenEnd)) this.put(lease);
  }

  get size(): number {
    return this.#byAddress.size;
  }

  all(): Iterable<Lease> {
    return this.#byAddress.values();
  }

  put(lease: Lease): void {
    const subnet = subnetAt(this.#subnets, lease.address);
    if (!subnet) return;
    const before = this.#byAddress.get(lease.address);
    const queues = this.#poolOf(subnet).queues;
    if (before) {
      queues[before.state].delete(lease.address);
      const key = keyOf(before.holder, subnet);
      if (this.#byHolder.get(key) === before) this.#byHolder.delete(key);
    }
    this.#byAddress.set(lease.address, lease);
    queues[lease.state].set(lease.address, lease);
    if (lease.state !== "declined") this.#byHolder.set(keyOf(lease.holder, subnet), lease);
  }

  at(address: Ipv4): Lease | undefined {
    return this.#byAddress.get(address);
  }

  of(holder: Holder, subnet: Subnet): Lease | undefined {
    return this.#byHolder.get(keyOf(holder, subnet));
  }

  free(subnet: Subnet, isReserved: (address: Ipv4) => boolean, nowMs: number): Ipv4 | undefined {
    if (!subnet.range) return undefined;
    const pool = this.#poolOf(subnet);
    return (
      neverUsed(subnet, pool, (ip) => !this.#byAddress.has(ip) && !isReserved(ip)) ??
      ended(subnet, pool, nowMs, isReserved)
    );
  }

  #poolOf(subnet: Subnet): Pool {
    const pool = this.#pools.get(subnet.name) ?? emptyPool(subnet);
    this.#pools.set(subnet.name, pool);
    return pool;
  }
}

/** Whether the address may be handed out in the subnet at all. */
export const isInRange = ({ range, prefix, router }: Subnet, ip: Ipv4): boolean =>
  range !== undefined && ip >= range.first && ip <= range.last && isHostAddress(prefix, ip) && ip !== router;

/** Its holder (or, when declined, the stranger found there) has a claim on the address at this time. */
export const isLive = (lease: Lease, nowMs: number): boolean => lease.state !== "released" && lease.untilMs > nowMs;

export const describeLease = ({ address, holder, state }: Lease): string =>
  `${ipv4Text(address)} is ${state} by ${holder}`;

function neverUsed(subnet: Subnet, pool: Pool, isUnused: (ip: Ipv4) => boolean): Ipv4 | undefined {
  const { first, last } = subnet.range!;
  const size = last - first + 1;
  for (let probe = 0; probe < Math.min(size, probesMax); probe++) {
    const ip = pool.cursor as Ipv4;
    pool.cursor = ip >= last ? first : ip + 1;
    // Old EDK2 refuses host addresses that end in .0 (tianocore/edk2 issue 6626), and .255 invites the same mistake.
    const isOddEnd = (ip & 255) === 0 || (ip & 255) === 255;
    if (!isOddEnd && isInRange(subnet, ip) && isUnused(ip)) return ip;
  }
  return undefined;
}

function ended(
  subnet: Subnet,
  { queues }: Pool,
  nowMs: number,
  isReserved: (address: Ipv4) => boolean,
): Ipv4 | undefined {
  for (const state of reusable) {
    let probes = 0;
    for (const lease of queues[state].values()) {
      if (isLive(lease, nowMs) || ++probes > probesMax) break;
      if (isInRange(subnet, lease.address) && !isReserved(lease.address)) return lease.address;
    }
  }
  return undefined;
}

const emptyPool = (subnet: Subnet): Pool => ({
  queues: { offered: new Map(), bound: new Map(), released: new Map(), declined: new Map() },
  cursor: subnet.range?.first ?? 0,
});

const keyOf = (holder: Holder, subnet: Subnet): string => `${holder} ${subnet.name}`;

const rank: Readonly<Record<LeaseState, number>> = { declined: 0, released: 1, offered: 2, bound: 3 };

/** So that, of several leases of a holder, the live one is put last and found. */
const byRankThenEnd = (a: Lease, b: Lease): number => rank[a.state] - rank[b.state] || a.untilMs - b.untilMs;
