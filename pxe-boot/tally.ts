export type Counts<K extends string> = Readonly<Partial<Record<K, number>>>;

/** Counts by key; the keys come from closed sets. */
export class Tally<K extends string> {
  readonly #counts: Partial<Record<K, number>> = {};

  add(key: K): void {
    this.#counts[key] = (this.#counts[key] ?? 0) + 1;
  }

  counts(): Counts<K> {
    return { ...this.#counts };
  }
}
