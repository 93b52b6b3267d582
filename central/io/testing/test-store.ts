// The store that a test's central is over. The runner runs the services' tests once for each.
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { MemoryStore } from "../../store/memory-store.ts";
import type { Store } from "../../store/store.ts";
import { EtcdStore } from "../etcd-store.ts";
import { LmdbStore } from "../lmdb-store.ts";

export interface TestStore {
  readonly store: Store;
  close(): Promise<void>;
}

/** `memory`, `embedded`, or the endpoint of a running etcd, in which each test's central has keys of its own. */
const wanted = process.env.HOLDFAST_TEST_STORE ?? "memory";

/** Whether what is stored for a while goes by the time of the world, and not by the test's clock. */
export const expiresByItself = wanted !== "memory" && wanted !== "embedded";

export function testStore(ports: { readonly clock: Clock; readonly random: Random; readonly log: Log }): TestStore {
  switch (wanted) {
    case "memory": {
      const store = new MemoryStore(ports);
      return { store, close: () => store.close() };
    }
    case "embedded": {
      const folder = mkdtempSync(path.join(tmpdir(), "holdfast-test-store-"));
      const store = new LmdbStore(ports, { folder });
      return {
        store,
        async close() {
          await store.close();
          rmSync(folder, { recursive: true, force: true });
        },
      };
    }
    default: {
      const store = new EtcdStore(ports, { endpoints: [wanted], root: `/test-${randomUUID()}` });
      return { store, close: () => store.close() };
    }
  }
}
