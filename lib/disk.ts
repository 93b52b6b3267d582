/** One durable, transactional key-value place. Keys are text, ordered by code unit; tables are separate key spaces. */
export interface Disk {
  /** Which medium this is: a copy of its content elsewhere, or one that was put back in its place, has another one. */
  readonly identity: string;
  get(table: string, key: string): Uint8Array | undefined;
  /** In key order; `prefix` keeps those keys that begin with it. */
  entries(table: string, prefix?: string): Iterable<readonly [string, Uint8Array]>;
  /** All or nothing; durable when it resolves. Writes are carried out in the order in which they were asked for. */
  write(changes: readonly Change[]): Promise<void>;
}

/** An absent value deletes the key. A value is not changed any more. */
export interface Change {
  readonly table: string;
  readonly key: string;
  readonly value: Uint8Array | undefined;
}
