import type { Batch, Commit, Committed, Item, Listing, Store } from "#central/store/store.ts";
import { StoreUnavailable } from "#central/store/store.ts";
import type { Seeded } from "#lib/seeded.ts";
import type { Life } from "./life.ts";

export interface StoreFaults {
  /** Milliseconds that one call takes, at most, each way. */
  callMsMax: number;
  /** Milliseconds that one change takes to be seen, at most. */
  watchMsMax: number;
  /** Probability that a call fails although the store carried it out. */
  answerLost: number;
}

/** A store behind a network, as one life of central sees it. */
export function distantStore(inner: () => Store, life: Life, random: Seeded, faults: () => StoreFaults): Store {
  const way = () => life.after(random.between(0.1, faults().callMsMax));
  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    await way();
    const result = await life.hears(work());
    await way();
    if (random.chance(faults().answerLost)) throw new StoreUnavailable("the store did not answer");
    return result;
  };
  return {
    history: () => call(() => inner().history()),
    read: (key: string): Promise<Item | undefined> => call(() => inner().read(key)),
    list: (prefix: string): Promise<Listing> => call(() => inner().list(prefix)),
    async *watch(wanted, signal): AsyncIterable<Batch> {
      await way();
      for await (const batch of inner().watch(wanted, signal)) {
        await life.after(random.between(0.1, faults().watchMsMax));
        yield batch;
      }
    },
    commit: (commit: Commit): Promise<Committed> => call(() => inner().commit(commit)),
    compact: (revision: bigint) => call(() => inner().compact(revision)),
    close: async () => {},
  };
}
