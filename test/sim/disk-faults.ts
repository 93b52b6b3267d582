// Of the agent's disk. LMDB's commits are whole or not there as long as the medium does what it is told. One that says to have flushed
// what it has not may, without power, be at an earlier commit ("loses its last writes": a disk that was set back in place by seconds), or
// have pages of several commits. Where those do not fit together at all LMDB does not open, or ends the process ("torn"). What it
// does not find nobody can, but for rows of the ledger, of which central knows the digest ("loses a row").
import { cautionMs } from "#agent/ledger/safe-mode.ts";
import { isTold } from "#central/machine/told.ts";
import type { Change } from "#lib/disk.ts";
import type { Seeded } from "#lib/seeded.ts";
import type { Datacenter } from "./datacenter.ts";
import { fault } from "./fault.ts";
import { acceptHistory, giveOneBack } from "./user.ts";

/**
 * What central and an agent both forget at once nobody can know again, and nothing can be kept that nobody knows of. So while a restored
 * store has not been told everything, its agents keep their disks.
 */
const centralKnows = ({ partition, world }: Datacenter): boolean => isTold(world.truth, partition);

/**
 * A disk that was set back in place shows nothing of it, and nobody but central can tell. So whoever does that sees to it that the agent
 * is heard there, and stops it before its caution ends without.
 */
async function heardAgain({ agent: node, world: { outside } }: Datacenter): Promise<void> {
  const isHeard = () => node.agent?.link.state.phase === "following" || node.agent?.site.safeMode.why === undefined;
  while (node.isDead || node.agent === undefined || !isHeard()) {
    if ((node.far?.life.monotonicMs() ?? 0) > cautionMs - 2_000) {
      node.kill();
      await outside.after(5_000);
      await node.revive();
    }
    await outside.after(500);
  }
}

/** Its agent starts over a disk that was set back in place; the way to central may be there some seconds later. */
async function startInPlace(at: Datacenter, random: Seeded): Promise<void> {
  if (random.chance(0.7)) at.world.outside.later(random.between(500, 25_000), at.link.cut());
  await at.agent.revive();
  await heardAgain(at);
}

const kept = new WeakMap<Datacenter, (readonly Change[])[]>();

export const diskFaults = {
  "agent's disk set back": fault({
    lastsMs: [1_000, 180_000],
    isPossible: centralKnows,
    // Somebody makes a copy, finds after a while that what was done since then was a mistake, and goes back to it or to an older one.
    begin: (at, { random }) => {
      const copies = [...(kept.get(at) ?? []), at.agentDisk.copy()];
      kept.set(at, copies);
      if (random.chance(0.7)) void giveOneBack(at, random);
      return async () => {
        if (!centralKnows(at)) return;
        at.agent.kill();
        const medium = random.branch("medium").chance(0.7) ? "the same" : "another";
        at.setDiskBack(random.pick(copies), medium);
        await at.world.outside.after(random.between(1_000, 10_000));
        await (medium === "the same" ? startInPlace(at, random) : at.agent.revive());
        // It may hold once more what somebody had accepted since then.
        if (at.world.invariants.isStoreRestored) await acceptHistory(at, random);
      };
    },
  }),
  "agent's disk loses its last writes": fault({
    lastsMs: [1_000, 10_000],
    strength: { writesCount: [1, 100] },
    isPossible: centralKnows,
    begin: (at, { random, strength }) => {
      at.agent.kill();
      at.loseLastWrites(1 + random.below(strength.writesCount));
      return async () => {
        await startInPlace(at, random);
        if (at.world.invariants.isStoreRestored) await acceptHistory(at, random);
      };
    },
  }),
  "agent's disk torn": fault({
    lastsMs: [5_000, 60_000],
    isPossible: centralKnows,
    begin: (at) => {
      at.agent.kill();
      at.agentDisk.tear();
      void at.agent.revive();
      // Its people give it an empty folder, unless they have put a copy there before.
      return async () => {
        if (at.agentDisk.isTorn) {
          at.agent.kill();
          at.setDiskBack([]);
        }
        await at.agent.revive();
      };
    },
  }),
  "agent's disk lost": fault({
    lastsMs: [1_000, 60_000],
    isPossible: centralKnows,
    begin: (at) => {
      at.agent.kill();
      at.setDiskBack([]);
      return () => at.agent.revive();
    },
  }),
  "agent's disk loses a row": fault({
    lastsMs: [1, 1],
    begin: ({ agentDisk }, { random }) => {
      agentDisk.lose(["ledger", "ledger-2", "ledger-3"], random);
      return () => {};
    },
  }),
  "agent's disk slow": fault({
    lastsMs: [10_000, 120_000],
    strength: { writeMs: [50, 10_000] },
    begin: ({ agentDisk: { faults, calm } }, { strength }) => {
      faults.writeMs = strength.writeMs;
      return () => {
        faults.writeMs = calm.writeMs;
      };
    },
  }),
  "agent's disk full": fault({
    lastsMs: [5_000, 120_000],
    strength: { fullShare: [0.05, 1] },
    begin: ({ agentDisk: { faults, calm } }, { strength }) => {
      faults.fullShare = strength.fullShare;
      return () => {
        faults.fullShare = calm.fullShare;
      };
    },
  }),
} as const;
