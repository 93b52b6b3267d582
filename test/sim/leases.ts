// Invariants 3, 14 and 18 of addresses in the provisioning network.
import type { Disk } from "#lib/disk.ts";
import { ipv4Text, parseIpv4 } from "#lib/net/ipv4.ts";
import { decodeLease, leaseKey } from "#pxe-boot/dhcp/lease-codec.ts";
import type { Judge } from "./judge.ts";
import { beginMs } from "./life.ts";

interface Leased {
  readonly mac: string;
  /** Virtual milliseconds. */
  readonly untilMs: number;
}

export type Rows = Pick<Disk, "get">;

export class Leases {
  readonly #judge: Judge;
  /** By partition, and under it by address. */
  readonly #leases = new Map<string, Map<string, Leased>>();

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  /** The agent's disk became an older copy of itself: a lease that it does not know, or as one that ends before, may be given again. */
  onDiskSetBack(partition: string, disk: Rows): void {
    const leases = this.#leases.get(partition);
    for (const [address, { mac, untilMs }] of leases ?? []) {
      const knownMs = boundUntilMs(disk, address, mac);
      if (knownMs === undefined) leases?.delete(address);
      else leases?.set(address, { mac, untilMs: Math.min(untilMs, knownMs - beginMs) });
    }
  }

  /** @param untilMs virtual milliseconds */
  onLease(partition: string, mac: string, address: string, untilMs: number): void {
    const { seen, fail, checked } = this.#judge;
    checked();
    if (!seen.addresses.includes(address)) fail(14, `${mac} got ${address}, which is not the agent's to give`);
    const leases = this.#leases.get(partition) ?? new Map<string, Leased>();
    this.#leases.set(partition, leases);
    const other = leases.get(address);
    if (other && other.mac !== mac && other.untilMs > seen.nowMs())
      fail(3, `${address} is ${other.mac}'s, and was given to ${mac}, too`);
    leases.set(address, { mac, untilMs });
  }

  /** A lease was acknowledged: the agent must know it still if it died now. */
  onAcknowledged(address: string, mac: string, disk: Rows): void {
    this.#judge.checked();
    if (boundUntilMs(disk, address, mac) === undefined)
      this.#judge.fail(18, `the lease of ${address} is acknowledged and not on the agent's disk`);
  }
}

/** By the agent's wall clock; undefined when the disk does not have the address as this client's. */
function boundUntilMs(disk: Rows, address: string, mac: string): number | undefined {
  const ip = parseIpv4(address);
  const lease = decodeLease((ip.ok && disk.get("dhcp-leases", leaseKey(ip.value))) || new Uint8Array(0));
  const isHeld = lease.ok && lease.value.state === "bound" && lease.value.holder === mac;
  return isHeld && ipv4Text(lease.value.address) === address ? lease.value.untilMs : undefined;
}
