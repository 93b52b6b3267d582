// Invariant 6 at central: what its agents report never brings back what was deleted, nor goes back itself.
import { type Kind, kinds, type Of } from "#central/store/kinds.ts";
import type { Judge } from "./judge.ts";
import type { StoreCopy } from "./seen.ts";

type List = <K extends Kind>(kind: K) => readonly { readonly id: string; readonly value: Of<K> }[];

/** Each by a name that no other thing ever has: allocations, networks and addresses. */
export function* thingsIn(list: List): Iterable<string> {
  for (const { value } of list(kinds.machineDesired)) if (value.allocation) yield `allocation ${value.allocation.uuid}`;
  for (const { id } of list(kinds.network)) yield `network ${id}`;
  for (const { value } of list(kinds.ip)) yield `address ${value.uuid}`;
}

export class Deletions {
  readonly #judge: Judge;
  #present: ReadonlySet<string> = new Set();
  readonly #deleted = new Set<string>();
  readonly #taken = new Map<string, { readonly outbox: string; readonly sequence: bigint }>();

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  /** What the copy holds is there again. */
  onStoreRestore({ has }: StoreCopy): void {
    for (const thing of this.#deleted) if (has(thing)) this.#deleted.delete(thing);
    // What is lost with the store was not deleted by anybody.
    this.#present = new Set();
    this.#taken.clear();
  }

  /** The store has changed. */
  check(): void {
    const { truth } = this.#judge.seen;
    const present = new Set(thingsIn((kind) => truth.list(kind)));
    for (const thing of this.#present) if (!present.has(thing)) this.#deleted.add(thing);
    for (const thing of present)
      if (this.#deleted.has(thing)) this.#judge.fail(6, `central has ${thing} again, which was deleted`);
    this.#present = present;
    for (const { id, value } of truth.list(kinds.reportCursor)) {
      const before = this.#taken.get(id);
      if (before?.outbox === value.outbox && value.sequence < before.sequence)
        this.#judge.fail(6, `what central took of ${id} went from ${before.sequence} back to ${value.sequence}`);
      this.#taken.set(id, value);
    }
  }
}
