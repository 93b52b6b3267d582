// What etcd itself does, asked by its client alone: no grouping of commits, no state, no cache.
import { Etcd3 } from "etcd3";
import type { Commit } from "#central/store/store.ts";

export interface RawEtcd {
  /** @throws when a condition does not hold */
  commit(commit: Commit): Promise<void>;
  close(): void;
}

export function rawEtcd(endpoints: readonly string[]): RawEtcd {
  const etcd = new Etcd3({ hosts: [...endpoints] });
  const key = (text: string) => Buffer.from(`/raw/${text}`);
  return {
    async commit({ conditions, puts }) {
      const { succeeded } = await etcd.kv.txn({
        compare: conditions.map((c) => ({
          key: key(c.key),
          target: "Mod" as const,
          result: "Equal" as const,
          mod_revision: String(c.revision),
        })),
        success: puts.map((put) => ({ request_put: { key: key(put.key), value: Buffer.from(put.value) } })),
      });
      if (!succeeded) throw new Error(`raw commit of ${puts[0]?.key ?? "nothing"} met a conflict`);
    },
    close: () => void etcd.close(),
  };
}
