import type { Lease, LeaseStore } from "./lease.ts";

/**
 * Saves leases in groups: while one save is on its way to the disk, all that come later wait for the next one. So a flush
 * carries as many ACKs as came in during the flush before it.
 */
export class GroupedSaves {
  readonly #store: LeaseStore;
  #waiting: Waiting[] = [];
  #isRunning = false;

  constructor(store: LeaseStore) {
    this.#store = store;
  }

  /** Resolves when the lease is durable; rejects as the store does. */
  save(lease: Lease): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ lease, resolve, reject });
      if (!this.#isRunning) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#store.save(group.map(({ lease }) => lease));
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#isRunning = false;
  }
}

interface Waiting {
  readonly lease: Lease;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}
