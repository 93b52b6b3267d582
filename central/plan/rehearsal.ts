// What goes along with the cause of a change when it is only planned, or when it was planned before.
import { type ContextKey, createContextKey } from "@connectrpc/connect";
import type { Written } from "../history/record.ts";
import type { TxRecord } from "../store/tx.ts";

/** Whoever draws something for the change draws it from the seed, so that planned and done are the same. */
export type PlanOfChange = Rehearsal | Planned;

/** Transactions are run one after another over one record, which nobody commits. */
export class Rehearsal {
  readonly kind = "rehearsal";
  readonly seed: number;
  readonly #why: string[] = [];
  #record: TxRecord | undefined;

  constructor(seed: number) {
    this.seed = seed;
  }

  record(begin: () => TxRecord): TxRecord {
    this.#record ??= begin();
    return this.#record;
  }

  /** How something was chosen, in words for people. */
  explain(why: string): void {
    this.#why.push(why);
  }

  get why(): readonly string[] {
    return this.#why;
  }

  get written(): readonly Written[] {
    return this.#record?.written() ?? [];
  }
}

export interface Planned {
  readonly kind: "planned";
  readonly seed: number;
  /** Called with what each attempt is about to commit. @throws Refusal "precondition" PLAN_STALE */
  readonly check: (written: readonly Written[]) => Promise<void>;
}

export const planKey: ContextKey<PlanOfChange | undefined> = createContextKey<PlanOfChange | undefined>(undefined, {
  description: "whether the call is planned, or was",
});
