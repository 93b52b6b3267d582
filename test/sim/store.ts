import type { Batch, Commit, Committed, Item, Listing, Store } from "#central/store/store.ts";
import { StoreUnavailable } from "#central/store/store.ts";
import type { Seeded } from "#lib/seeded.ts";
import type { Life } from "./life.ts";

export interface StoreFaults {
  /** That one call takes, at most, each way. */
  callMs: number;
  /** That one change takes to be seen, at most. */
  watchMs: number;
  /** Of calls, which fail although the store carried them out. */
  lostShare: number;
}

export const calmStore: Readonly<StoreFaults> = { callMs: 3, watchMs: 3, lostShare: 0 };

/** A store behind a network, as one life of central sees it. */
export function distantStore(inner: () => Store, life: Life, random: Seeded, faults: () => StoreFaults): Store {
  const way = () => {
    life.waits();
    return life.after(random.between(0.1, faults().callMs));
  };
  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    await way();
    const result = await life.hears(work());
    await way();
    if (random.chance(faults().lostShare)) throw new StoreUnavailable("the store did not answer");
    return result;
  };
  return {
    history: () => call(() => inner().history()),
    read: (key: string): Promise<Item | undefined> => call(() => inner().read(key)),
    list: (prefix: string): Promise<Listing> => call(() => inner().list(prefix)),
    async *watch(wanted, signal): AsyncIterable<Batch> {
      await way();
      for await (const batch of inner().watch(wanted, signal)) {
        await life.after(random.between(0.1, faults().watchMs));
        yield batch;
      }
    },
    commit: (commit: Commit): Promise<Committed> => call(() => inner().commit(commit)),
    compact: (revision: bigint) => call(() => inner().compact(revision)),
    close: async () => {},
  };
}
