import { bug } from "#lib/bug.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Commit } from "./store.ts";

/** What every adapter holds to, so that a commit that works on one store works on all. etcd's own defaults set the measure. */
export const storeLimits = {
  /** UTF-8 bytes of one key. */
  keyBytes: 1024,
  /** Keys and values of one commit together; etcd: --max-request-bytes is 1.5 MiB, some of which is its own wrapping. */
  commitBytes: 1_572_864 - 16_384,
  /**
   * Conditions of one commit, and likewise its puts and deletes together; etcd: --max-txn-ops. The record of what a commit changes of
   * recorded kinds is one of its puts (ADR 17), so a transaction that changes such has room for one write less.
   */
  commitOperations: 128,
} as const;

/**
 * @throws Refusal "exhausted" naming the commit's size and the limit
 */
export function checkCommit({ conditions, puts, deletes }: Commit): void {
  const operations = Math.max(conditions.length, puts.length + deletes.length);
  if (operations > storeLimits.commitOperations) {
    throw tooMuch(
      `a commit of ${operations} operations, any record of what it changes included, exceeds the store's ${storeLimits.commitOperations} (etcd: max-txn-ops)`,
    );
  }
  const written = [...puts.map((p) => p.key), ...deletes];
  if (new Set(written).size !== written.length) bug(`a commit writes a key twice: ${written.join(", ")}`);
  for (const key of [...written, ...conditions.map((c) => c.key)]) checkKey(key);
  for (const { key, value } of puts) {
    if (value.length > storeLimits.commitBytes) {
      throw tooMuch(`the value of ${key}, ${value.length} bytes, exceeds the store's ${storeLimits.commitBytes}`);
    }
  }
  const bytes = puts.reduce((sum, p) => sum + p.key.length + p.value.length, 0);
  if (bytes > storeLimits.commitBytes) {
    throw tooMuch(
      `a commit of ${bytes} bytes exceeds the store's ${storeLimits.commitBytes} (etcd: max-request-bytes)`,
    );
  }
}

/** UTF-8 bytes of one of a text's units. */
const bytesOfUnitMax = 3;

function checkKey(key: string): void {
  if (key === "") bug("a commit names an empty key");
  if (key.length * bytesOfUnitMax <= storeLimits.keyBytes) return;
  const bytes = new TextEncoder().encode(key).length;
  if (bytes > storeLimits.keyBytes) {
    throw tooMuch(`the key ${key.slice(0, 64)}…, ${bytes} bytes, exceeds the store's ${storeLimits.keyBytes}`);
  }
}

const tooMuch = (text: string) => new Refusal("exhausted", text, { reason: "STORE_LIMIT" });
