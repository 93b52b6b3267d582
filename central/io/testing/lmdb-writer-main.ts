// Commits to an embedded store until it is killed, and prints the key of each commit once it is acknowledged.
// Usage: lmdb-writer-main.ts FOLDER
import { writeSync } from "node:fs";
import { systemClock } from "#lib/io/system-clock.ts";
import { systemRandom } from "#lib/io/system-random.ts";
import { silentLog } from "#lib/log.ts";
import { LmdbStore } from "../lmdb-store.ts";

const store = new LmdbStore(
  { clock: systemClock, random: systemRandom, log: silentLog },
  { folder: process.argv[2] as string },
);

async function write(writer: number): Promise<never> {
  for (let n = 0; ; n++) {
    const key = `writer-${writer}/${n}`;
    const value = new TextEncoder().encode(key);
    const conditions = [{ key, revision: 0n }];
    const committed = await store.commit({ conditions, puts: [{ key, value }], deletes: [] });
    if (!committed.ok) throw new Error(`${key} is there already`);
    writeSync(1, `${key} ${committed.revision}\n`);
  }
}

await Promise.all([0, 1, 2, 3].map(write));
