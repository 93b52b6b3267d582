import type { Backup } from "#central/store/memory-store.ts";
import type { Centrals } from "./central-node.ts";
import type { Datacenter } from "./datacenter.ts";
import { fault } from "./fault.ts";
import { setBack } from "./set-back.ts";
import { calmStore, type StoreFaults } from "./store.ts";
import { acceptHistory } from "./user.ts";

const storeBackups = new WeakMap<Centrals, Backup[]>();

/** Of the store, as it is made now and then by those who run central. */
export function backUp(central: Centrals): void {
  storeBackups.set(central, [...(storeBackups.get(central) ?? []), central.store.backup()]);
}

/** A store is not set back while an agent has yet to hear of it what was on its own disk. */
const agentKnows = ({ agent: { agent } }: Datacenter): boolean =>
  agent !== undefined && agent.site.safeMode.why === undefined;

/** @param all the centrals that have it so */
function set(all: readonly { readonly faults: StoreFaults }[], key: keyof StoreFaults, value: number): () => void {
  for (const { faults } of all) faults[key] = value;
  return () => {
    for (const { faults } of all) faults[key] = calmStore[key];
  };
}

export const storeFaults = {
  "store slow": fault({
    lastsMs: [10_000, 120_000],
    strength: { callMs: [50, 5_000] },
    begin: ({ central }, { strength }) => set(central.all, "callMs", strength.callMs),
  }),
  "store's answers lost": fault({
    lastsMs: [10_000, 120_000],
    strength: { lostShare: [0.02, 0.6] },
    begin: ({ central }, { strength }) => set(central.all, "lostShare", strength.lostShare),
  }),
  "a central sees changes late": fault({
    lastsMs: [10_000, 300_000],
    strength: { watchMs: [100, 60_000] },
    begin: ({ central }, { random, strength }) => set([random.pick(central.all)], "watchMs", strength.watchMs),
  }),
  "store compacted": fault({
    lastsMs: [1, 1],
    begin: (at) => {
      void at.central.store.compact(at.world.truth.revision);
      return () => {};
    },
  }),
  "store set back": fault({
    lastsMs: [60_000, 1_200_000],
    isPossible: ({ world }) => world.datacenters.every(agentKnows),
    begin: (at, { random }) => {
      const backup = random.pick(storeBackups.get(at.central)!);
      backUp(at.central);
      // Put up in another place, central is found by people before its datacenters have a way to it.
      const elsewhere = random.chance(0.5) ? at.world.datacenters.map(({ link }) => link.cut()) : [];
      const up = setBack(at.world, backup);
      // Somebody has looked at what is held, and lets the agent act on it.
      return async () => {
        for (const heal of elsewhere) heal();
        await up;
        await Promise.all(at.world.datacenters.map((one) => acceptHistory(one, random.branch(one.partition))));
      };
    },
  }),
} as const;
