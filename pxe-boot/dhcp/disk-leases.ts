import type { Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import type { Lease, LeaseStore } from "./lease.ts";
import { decodeLease, encodeLease, leaseKey } from "./lease-codec.ts";

/** Leases in one table of a `Disk`. A damaged row is skipped and logged: it costs one client a new address, not the datacenter its DHCP. */
export class DiskLeases implements LeaseStore {
  readonly #disk: Disk;
  readonly #log: Log;
  readonly #table: string;
  #damaged = 0;

  constructor(disk: Disk, log: Log, table = "dhcp-leases") {
    this.#disk = disk;
    this.#log = log;
    this.#table = table;
  }

  /** Rows that the last `load` had to leave out. */
  get damaged(): number {
    return this.#damaged;
  }

  load(): Iterable<Lease> {
    this.#damaged = 0;
    const leases: Lease[] = [];
    let example: { readonly key: string; readonly why: string } | undefined;
    for (const [key, value] of this.#disk.entries(this.#table)) {
      const lease = decodeLease(value);
      if (lease.ok) leases.push(lease.value);
      else {
        this.#damaged++;
        example ??= { key, why: lease.error };
      }
    }
    if (example) this.#log.warn("dhcp-leases-damaged", { rows: this.#damaged, ...example });
    return leases;
  }

  async save(leases: readonly Lease[]): Promise<void> {
    await this.#disk.write(
      leases.map((lease) => ({ table: this.#table, key: leaseKey(lease.address), value: encodeLease(lease) })),
    );
  }
}
