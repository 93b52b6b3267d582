// A state that remembers which indexes and folds are asked of it, and compares them with what a fresh state makes of the same store.
import { isDeepStrictEqual } from "node:util";
import type { Fold, Index } from "#central/store/cache.ts";
import { kinds } from "#central/store/kinds.ts";
import { openState, type State } from "#central/store/state.ts";
import type { Store } from "#central/store/store.ts";
import type { Clock } from "#lib/clock.ts";
import { silentLog } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";

export class SeenState {
  readonly #indexes = new Map<string, { readonly index: Index; readonly keys: Set<string> }>();
  readonly #folds = new Map<string, { readonly fold: Fold; readonly groups: Set<string> }>();

  /** The same state, watched. */
  watch(state: State): State {
    return {
      ...state,
      // They change, so they are asked for each time.
      get revision() {
        return state.revision;
      },
      get away() {
        return state.away;
      },
      get history() {
        return state.history;
      },
      get unreadable() {
        return state.unreadable;
      },
      index: (kind, name, keysOf, beside) => {
        const index = state.index(kind, name, keysOf, beside);
        const known = this.#indexes.get(`${kind.name} ${name}`);
        // Kept for its kind alone, whichever that is.
        this.#indexes.set(`${kind.name} ${name}`, known ?? { index: index as unknown as Index, keys: new Set() });
        return index;
      },
      fold: (fold) => {
        const registered = state.fold(fold);
        const known = this.#folds.get(`${fold.kind.name} ${fold.name}`);
        this.#folds.set(
          `${fold.kind.name} ${fold.name}`,
          known ?? { fold: fold as unknown as Fold, groups: new Set() },
        );
        return registered;
      },
    };
  }

  get watched(): number {
    return this.#indexes.size + this.#folds.size;
  }

  /** What of the state differs from a state that is made of the store anew. */
  async differences(state: State, ports: { store: Store; clock: Clock; random: Random }): Promise<string[]> {
    const stop = new AbortController();
    const fresh = await openState({ ...ports, log: silentLog }, stop.signal);
    try {
      return [
        ...fresh.unreadable.map((key) => `${key} cannot be read`),
        ...Object.values(kinds).flatMap((kind) =>
          isDeepStrictEqual(state.list(kind), fresh.list(kind))
            ? []
            : [`the rows of ${kind.name} are not those of the store`],
        ),
        ...this.#indexDifferences(state, fresh),
        ...this.#foldDifferences(state, fresh),
      ];
    } finally {
      stop.abort();
      await fresh.close();
    }
  }

  *#indexDifferences(state: State, fresh: State): Iterable<string> {
    for (const [name, { index, keys }] of this.#indexes) {
      const again = fresh.index(index.kind, index.name, index.keysOf, index.beside);
      for (const { id, value } of state.list(index.kind)) {
        const beside = index.beside && state.get(index.beside, id)?.value;
        for (const key of [index.keysOf(value, beside, id) ?? []].flat()) keys.add(key);
      }
      for (const key of keys) {
        const ids = (of: State, by: Index) => of.by(by, key).map((row) => row.id);
        if (!isDeepStrictEqual(ids(state, index), ids(fresh, again))) yield `index ${name} differs under ${key}`;
      }
    }
  }

  *#foldDifferences(state: State, fresh: State): Iterable<string> {
    for (const [name, { fold, groups }] of this.#folds) {
      const again = fresh.fold(fold);
      for (const row of state.list(fold.kind)) for (const { group } of fold.partsOf(row)) groups.add(group);
      for (const group of groups)
        if (!isDeepStrictEqual(state.folded(fold, group), fresh.folded(again, group)))
          yield `fold ${name} differs for ${group}`;
    }
  }
}
