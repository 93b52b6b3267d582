import type { Change } from "#lib/disk.ts";
import { MemoryDisk } from "#lib/memory-disk.ts";

/** A disk in memory whose writes fail or wait when the test says so. */
export class HeldDisk extends MemoryDisk {
  /** Set: every write fails with it. */
  broken: Error | undefined;
  /** Writes that were asked for, also those that failed. */
  writes = 0;
  #gate: { readonly opened: Promise<void>; readonly open: () => void } | undefined;

  /** From now on writes wait for `release`. */
  hold(): void {
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#gate = { opened, open };
  }

  release(): void {
    this.#gate?.open();
    this.#gate = undefined;
  }

  override async write(changes: readonly Change[]): Promise<void> {
    this.writes++;
    const { broken } = this;
    await this.#gate?.opened;
    if (broken) throw broken;
    await super.write(changes);
  }
}
