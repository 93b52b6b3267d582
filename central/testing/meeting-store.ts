import type { Commit, Committed } from "../store/store.ts";
import { WrappedStore } from "./wrapped-store.ts";

/** A store in which commits can be made to meet: each is decided before any of them is carried out. */
export class MeetingStore extends WrappedStore {
  #expected: ((commit: Commit) => boolean)[] = [];
  /** What carries out those that are there already. */
  #waiting: (() => Promise<void>)[] = [];

  /** The next ones for which these hold wait for each other, and go in this order. */
  meet(...expected: ((commit: Commit) => boolean)[]): void {
    this.#expected = expected;
    this.#waiting = [];
  }

  override commit(commit: Commit): Promise<Committed> {
    const place = this.#expected.findIndex((isMeant, i) => this.#waiting[i] === undefined && isMeant(commit));
    if (place < 0) return super.commit(commit);
    return new Promise((resolve, reject) => {
      this.#waiting[place] = () => super.commit(commit).then(resolve, reject);
      if (this.#expected.every((_, i) => this.#waiting[i])) void this.#carryOut();
    });
  }

  async #carryOut(): Promise<void> {
    this.#expected = [];
    for (const one of this.#waiting) await one();
  }
}
