// What a stream has still to tell: names of things, each once however often it changes. What there is to tell of one is read when its
// turn comes, so a slow reader gets the last of several changes.
import type { ThingKind } from "../things/kinds.ts";

export interface Named {
  readonly key: string;
  readonly kind: ThingKind;
  readonly id: string;
  /** Of the last change, for those that turn out to be gone. */
  readonly revision: bigint;
}

export class Waiting {
  readonly #max: number;
  readonly #named = new Map<string, Named>();
  /** Keys that wait because they have changed, not because the stream begins. */
  readonly #changed = new Set<string>();

  /** @param max changed things that may wait */
  constructor(max: number) {
    this.#max = max;
  }

  get isEmpty(): boolean {
    return this.#named.size === 0;
  }

  /** Something to begin with: it does not count. */
  begin(named: Named): void {
    this.#named.set(named.key, named);
  }

  /** One that waits already keeps its place. @returns false when too many wait */
  add(named: Named): boolean {
    this.#named.set(named.key, named);
    this.#changed.add(named.key);
    return this.#changed.size <= this.#max;
  }

  take(): Named | undefined {
    for (const [key, named] of this.#named) {
      this.#named.delete(key);
      this.#changed.delete(key);
      return named;
    }
    return undefined;
  }

  clear(): void {
    this.#named.clear();
    this.#changed.clear();
  }
}
