// Commits that meet go to etcd together, as one transaction with a transaction inside for each: one request, one proposal to the
// cluster, one flush and one revision instead of many. Each has its own outcome. etcd compares all of them before it writes any, so those
// that touch what another one writes never travel together.
import type { ICompare, IRequestOp, ITxnResponse } from "etcd3";
import { storeLimits } from "../store/limits.ts";
import type { Commit } from "../store/store.ts";

/** A transaction as etcd takes it, and what was asked for. */
export interface EtcdCommit {
  readonly commit: Commit;
  readonly compare: ICompare[];
  readonly success: IRequestOp[];
}

export type EtcdOutcome = Pick<ITxnResponse, "succeeded" | "header">;

type Send = (txn: Partial<Omit<EtcdCommit, "commit">>) => Promise<ITxnResponse>;

interface Waiting {
  readonly given: EtcdCommit;
  readonly bytes: number;
  readonly settle: (outcome: EtcdOutcome) => void;
  readonly fail: (error: unknown) => void;
}

/** Requests on the way; those that come meanwhile are gathered. So many go alone, and wait for nobody. */
const underwayMax = 4;
/** Commits of one group: etcd counts them and the operations of each against one limit. */
const groupMax = 32;
const groupOperationsMax = storeLimits.commitOperations - groupMax;
/** Keys and values of a group. Larger commits go alone. */
const groupBytesMax = storeLimits.commitBytes / 4;

export class EtcdGrouping {
  readonly #send: Send;
  #waiting: Waiting[] = [];
  #underway = 0;
  #isDue = false;

  constructor(send: Send) {
    this.#send = send;
  }

  /** Fails as the request fails that carries it. */
  commit(given: EtcdCommit): Promise<EtcdOutcome> {
    return new Promise((settle, fail) => {
      this.#waiting.push({ given, bytes: bytesOf(given.commit), settle, fail });
      this.#soon();
    });
  }

  /** At the end of this turn of the event loop: what one answer sets off comes in the same turn, and shall go together. */
  #soon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      this.#next();
    });
  }

  #next(): void {
    while (this.#underway < underwayMax && this.#waiting.length > 0) {
      const { group, rest } = firstGroup(this.#waiting);
      this.#waiting = rest;
      this.#underway++;
      void this.#carry(group).finally(() => {
        this.#underway--;
        this.#soon();
      });
    }
  }

  async #carry(group: readonly Waiting[]): Promise<void> {
    const [only] = group;
    try {
      if (only && group.length === 1) return only.settle(await this.#send(bare(only)));
      const { header, succeeded, responses } = await this.#send(together(group));
      for (const [i, { settle, fail }] of group.entries()) {
        const own = responses[i]?.response_txn;
        if (!succeeded) settle({ succeeded, header });
        else if (own) settle({ succeeded: own.succeeded, header });
        else fail(new Error(`etcd answered ${responses.length} of ${group.length} commits that it was given together`));
      }
    } catch (error) {
      for (const { fail } of group) fail(error);
    }
  }
}

/**
 * What all of a group ask for is compared once, for all: where it does not hold, it would not have held for any. Creations ask for the same
 * project, image, size and network, which is more than half of what they ask for.
 */
function together(group: readonly Waiting[]): Parameters<Send>[0] {
  const names = group.map(({ given }) => given.commit.conditions.map(({ key, revision }) => `${revision} ${key}`));
  const [first = [], ...others] = names.map((asked) => new Set(asked));
  // etcd counts them against the same limit as the commits of the group.
  const shared = new Set([...first].filter((name) => others.every((asked) => asked.has(name))).slice(0, groupMax));
  const compared = (one: number, once: boolean) =>
    group[one]!.given.compare.filter((_, i) => shared.has(names[one]![i]!) === once); // one for each condition
  return {
    compare: compared(0, true),
    success: group.map(({ given: { success } }, i) => ({ request_txn: { compare: compared(i, false), success } })),
  };
}

const bare = ({ given: { compare, success } }: Waiting) => ({ compare, success });

/** The first that waits, and those behind it that can go with it, in their order. */
function firstGroup(waiting: readonly Waiting[]): { readonly group: readonly Waiting[]; readonly rest: Waiting[] } {
  const [first, ...behind] = waiting;
  if (first && !isSmall(first)) return { group: [first], rest: behind };
  const group: Waiting[] = [];
  const rest: Waiting[] = [];
  const written = new Set<string>();
  const asked = new Set<string>();
  let bytes = 0;
  for (const one of waiting) {
    const { conditions, puts, deletes } = one.given.commit;
    const writes = [...puts.map((p) => p.key), ...deletes];
    const asks = conditions.map((c) => c.key);
    const fits =
      group.length === 0 ||
      (group.length < groupMax &&
        bytes + one.bytes <= groupBytesMax &&
        isSmall(one) &&
        !writes.some((key) => written.has(key) || asked.has(key)) &&
        !asks.some((key) => written.has(key)));
    if (!fits) {
      rest.push(one);
      continue;
    }
    group.push(one);
    bytes += one.bytes;
    for (const key of writes) written.add(key);
    for (const key of asks) asked.add(key);
  }
  return { group, rest };
}

const isSmall = ({ bytes, given: { commit } }: Waiting): boolean =>
  bytes <= groupBytesMax &&
  Math.max(commit.conditions.length, commit.puts.length + commit.deletes.length) <= groupOperationsMax;

const bytesOf = ({ conditions, puts, deletes }: Commit): number =>
  [...conditions, ...puts].reduce((sum, { key }) => sum + key.length, 0) +
  puts.reduce((sum, { value }) => sum + value.length, 0) +
  deletes.reduce((sum, key) => sum + key.length, 0);
