import type { Message } from "@bufbuild/protobuf";

/** What central asks of a store: ordered revisions, conditional commits, watches that resume. Keys are text, values bytes. */
export interface Store {
  /** Id of this store's history. Another id than yesterday's: the content was made anew or restored, and revisions do not compare. */
  history(): Promise<string>;
  read(key: string): Promise<Item | undefined>;
  /** All items under the prefix, in key order, at one revision. */
  list(prefix: string): Promise<Listing>;
  /**
   * Every change after `after` (exclusive) under the prefix, one batch per revision, in order, then live until the signal
   * aborts. Ends without an error only then, or when the store is closed. A batch without changes says that nothing else
   * happened up to its revision.
   * @throws Compacted when the revisions after `after` are no longer held: list again
   */
  watch(wanted: { readonly prefix: string; readonly after: bigint }, signal: AbortSignal): AsyncIterable<Batch>;
  /**
   * All or nothing, under one new revision, which it may share with others that touch nothing of the same; durable when it
   * resolves. One that changes nothing makes no revision.
   * @throws StoreUnavailable when the store did not answer: the commit may or may not have been carried out
   * @throws Refusal "exhausted" beyond `storeLimits`
   */
  commit(commit: Commit): Promise<Committed>;
  /** Forgets what is needed only to resume watches before this revision. */
  compact(revision: bigint): Promise<void>;
  close(): Promise<void>;
}

export interface Item {
  readonly key: string;
  readonly value: Uint8Array;
  /** Revision of the last change. */
  readonly revision: bigint;
  /** Revision at which the key came to be. */
  readonly created: bigint;
}

export interface Listing {
  readonly items: readonly Item[];
  readonly revision: bigint;
}

export interface Batch {
  readonly revision: bigint;
  readonly changes: readonly StoreChange[];
}

/** An absent item: the key was deleted, or its time to live has passed. */
export interface StoreChange {
  readonly key: string;
  readonly item: Item | undefined;
}

export interface Commit {
  readonly conditions: readonly Condition[];
  readonly puts: readonly Put[];
  readonly deletes: readonly string[];
}

/** The key's last change must be this revision; 0 means that the key must not exist. */
export interface Condition {
  readonly key: string;
  readonly revision: bigint;
}

export interface Put {
  readonly key: string;
  readonly value: Uint8Array;
  /** What the value says, for who reads it again soon. A store does not look at it. */
  readonly decoded?: Message;
  /** The key goes away this long after the commit, unless put again. */
  readonly ttlMs?: number;
}

/** Not ok: a condition did not hold, and nothing was changed. Who watches sees which. */
export type Committed = { readonly ok: true; readonly revision: bigint } | { readonly ok: false };

/** The revisions asked for are no longer held. */
export class Compacted extends Error {
  readonly oldest: bigint;

  constructor(oldest: bigint) {
    super(`store history before revision ${oldest} is compacted`);
    this.name = "Compacted";
    this.oldest = oldest;
  }
}

/** The store does not answer, or is closed. The text names the store. */
export class StoreUnavailable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StoreUnavailable";
  }
}
