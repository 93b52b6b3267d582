import { cautionMs } from "#agent/ledger/safe-mode.ts";
import { isTold } from "#central/machine/told.ts";
import type { Backup } from "#central/store/memory-store.ts";
import type { Change } from "#lib/disk.ts";
import type { Seeded } from "#lib/seeded.ts";
import { honest } from "./bmc.ts";
import type { Centrals } from "./central-node.ts";
import type { Datacenter } from "./datacenter.ts";
import { SimDisk } from "./disk.ts";
import { Line } from "./line.ts";
import { quickWire } from "./server.ts";
import { setBack } from "./set-back.ts";
import { acceptHistory } from "./user.ts";
import type { World } from "./world.ts";

/** One thing that goes wrong for a while. Times are milliseconds; `rate` is how often it is chosen beside others. */
export interface Fault {
  readonly lastsMs: readonly [least: number, most: number];
  /** It does not strike while this is false. */
  readonly isPossible?: (at: Datacenter) => boolean;
  /** @returns what ends it */
  readonly begin: (at: Datacenter, random: Seeded) => () => Promise<void> | void;
}

const storeBackups = new WeakMap<Centrals, Backup[]>();

/** Of the store, as it is made now and then by those who run central. */
function backUp(central: Centrals): void {
  storeBackups.set(central, [...(storeBackups.get(central) ?? []), central.store.backup()]);
}

/**
 * What central and an agent both forget at once nobody can know again, and nothing can be kept that nobody knows of. So while a restored
 * store has not been told everything, its agents keep their disks; and a store is not set back while an agent has yet to hear of it what
 * was on its own disk.
 */
const centralKnows = ({ partition, world }: Datacenter): boolean => isTold(world.truth, partition);
const agentKnows = ({ agent: { agent } }: Datacenter): boolean =>
  agent !== undefined && agent.site.safeMode.why === undefined;

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

const kept = new WeakMap<Datacenter, (readonly Change[])[]>();

/** Every fault that can be, by name. A seed takes some of them. */
export const faults = {
  "link cut": {
    lastsMs: [1_000, 1_200_000],
    begin: ({ link }) => {
      link.cut();
      return () => link.heal();
    },
  },
  "link cut one way": {
    lastsMs: [1_000, 300_000],
    begin: ({ link }, random) => {
      if (random.chance(0.5)) link.cut(true, false);
      else link.cut(false, true);
      return () => link.heal();
    },
  },
  "link slow and lossy": {
    lastsMs: [10_000, 600_000],
    begin: ({ link }, random) => {
      const before = link.faults;
      link.faults = { delayMsMax: random.between(100, 5_000), answerLost: 0.2, twice: 0.2 };
      return () => {
        link.faults = before;
      };
    },
  },
  "central dies": {
    lastsMs: [1_000, 180_000],
    begin: ({ central }, random) => {
      const one = random.pick(central.all);
      one.kill();
      return () => one.revive();
    },
  },
  "central stands still": {
    lastsMs: [1, 1],
    begin: ({ central }, random) => {
      random.pick(central.all).pause(random.between(1, 120_000));
      return () => {};
    },
  },
  "agent dies": {
    lastsMs: [500, 120_000],
    begin: ({ agent }) => {
      agent.kill();
      return () => agent.revive();
    },
  },
  "agent stands still": {
    lastsMs: [1, 1],
    begin: ({ agent }, random) => {
      agent.pause(random.between(1, 600_000));
      return () => {};
    },
  },
  "agent's disk set back": {
    lastsMs: [1_000, 10_000],
    isPossible: centralKnows,
    begin: (at, random) => {
      const copies = kept.get(at) ?? [];
      kept.set(at, [...copies, at.agentDisk.copy()]);
      const copy = copies[random.below(copies.length + 1)];
      // The first time, the copy is only made.
      if (!copy) return () => {};
      at.agent.kill();
      const medium = random.branch("medium").chance(0.5) ? "the same" : "another";
      at.agentDisk.restore(copy, medium);
      at.world.invariants.excuses.agentDiskRestored = true;
      // It may hold once more what somebody had accepted since then.
      return async () => {
        await at.agent.revive();
        if (medium === "the same") await heardAgain(at);
        if (at.world.invariants.excuses.storeRestored) await acceptHistory(at, random);
      };
    },
  },
  "agent's disk lost": {
    lastsMs: [1_000, 60_000],
    isPossible: centralKnows,
    begin: (at) => {
      at.agent.kill();
      at.agentDisk.restore([]);
      at.world.invariants.excuses.agentDiskRestored = true;
      return () => at.agent.revive();
    },
  },
  "agent's disk loses a row": {
    lastsMs: [1, 1],
    begin: ({ agentDisk }, random) => {
      agentDisk.lose(["ledger", "ledger-2", "ledger-3"], random);
      return () => {};
    },
  },
  "agent copied": {
    lastsMs: [10_000, 600_000],
    begin: (at, random) => {
      const disk = new SimDisk(random.branch("copy's disk"), "copy's disk");
      disk.restore(at.agentDisk.copy());
      const line = new Line(at.world.time, random.branch("copy's line"));
      // It may be alone with what it remembers: nobody at central can tell it then that it is one too many.
      if (random.chance(0.5)) line.cut();
      const copy = at.copyOfAgent(disk, line);
      const up = copy.start();
      return async () => {
        copy.kill();
        await up;
      };
    },
  },
  "agent's disk slow": {
    lastsMs: [10_000, 120_000],
    begin: ({ agentDisk }) => {
      agentDisk.faults.writeMsMax = 3_000;
      return () => {
        agentDisk.faults.writeMsMax = 5;
      };
    },
  },
  "agent's disk full": {
    lastsMs: [5_000, 120_000],
    begin: ({ agentDisk }) => {
      agentDisk.faults.full = 0.5;
      return () => {
        agentDisk.faults.full = 0;
      };
    },
  },
  "agent's clock wrong": {
    lastsMs: [60_000, 900_000],
    begin: (at, random) => {
      at.skewMs = random.between(-600_000, 600_000);
      return () => {
        at.skewMs = 0;
      };
    },
  },
  "store slow": {
    lastsMs: [10_000, 120_000],
    begin: ({ central }) => {
      for (const { faults } of central.all) faults.callMsMax = 1_500;
      return () => {
        for (const { faults } of central.all) faults.callMsMax = 3;
      };
    },
  },
  "store's answers lost": {
    lastsMs: [10_000, 120_000],
    begin: ({ central }) => {
      for (const { faults } of central.all) faults.answerLost = 0.2;
      return () => {
        for (const { faults } of central.all) faults.answerLost = 0;
      };
    },
  },
  "a central sees changes late": {
    lastsMs: [10_000, 300_000],
    begin: ({ central }, random) => {
      const { faults } = random.pick(central.all);
      faults.watchMsMax = 60_000;
      return () => {
        faults.watchMsMax = 3;
      };
    },
  },
  "store compacted": {
    lastsMs: [1, 1],
    begin: (at) => {
      void at.central.store.compact(at.world.truth.revision);
      return () => {};
    },
  },
  "store set back": {
    lastsMs: [60_000, 1_200_000],
    isPossible: ({ world }) => world.datacenters.every(agentKnows),
    begin: (at, random) => {
      const backup = random.pick(storeBackups.get(at.central)!);
      backUp(at.central);
      // Put up in another place, central is found by people before its datacenters have a way to it.
      const elsewhere = random.chance(0.5) ? at.world.datacenters.map(({ link }) => link) : [];
      for (const link of elsewhere) link.cut();
      const up = setBack(at.world, backup);
      // Somebody has looked at what is held, and lets the agent act on it.
      return async () => {
        for (const link of elsewhere) link.heal();
        await up;
        await Promise.all(at.world.datacenters.map((one) => acceptHistory(one, random.branch(one.partition))));
      };
    },
  },
  "BMCs misbehave": {
    lastsMs: [10_000, 600_000],
    begin: (at, random) => {
      const some = () => (random.chance(0.5) ? random.between(0, 0.4) : 0);
      at.quirks = { dead: some(), slow: some(), idle: some(), lying: some(), full: some() };
      return () => {
        at.quirks = honest;
      };
    },
  },
  "switch misbehaves": {
    lastsMs: [10_000, 600_000],
    begin: ({ leaf }, random) => {
      leaf.faults = { unreachable: random.between(0.1, 1), errorButApplied: random.between(0, 0.3) };
      return () => {
        leaf.faults = { unreachable: 0, errorButApplied: 0 };
      };
    },
  },
  "a server loses power": {
    lastsMs: [1_000, 60_000],
    begin: ({ servers }, random) => {
      const server = random.pick(servers);
      if (server.power === "off") return () => {};
      server.switchTo("off");
      return () => server.switchTo("on");
    },
  },
  "servers' network slow and lossy": {
    lastsMs: [10_000, 300_000],
    begin: ({ servers }, random) => {
      const faults = { delayMsMax: random.between(100, 30_000), answerLost: 0.2, twice: 0.2 };
      for (const { wire } of servers) wire.faults = faults;
      return () => {
        for (const { wire } of servers) wire.faults = quickWire;
      };
    },
  },
  "images' source away": {
    lastsMs: [10_000, 600_000],
    begin: (at) => {
      at.imagesUp = false;
      return () => {
        at.imagesUp = true;
      };
    },
  },
} as const satisfies Readonly<Record<string, Fault>>;

export type FaultName = keyof typeof faults;

export const faultNames = Object.keys(faults) as readonly FaultName[];

/** Lets the chosen faults happen, several at a time, until it is told to stop; then all of them are ended. */
export class Nemesis {
  readonly #world: World;
  readonly #random: Seeded;
  readonly #chosen: readonly FaultName[];
  readonly #active = new Map<FaultName, () => Promise<void> | void>();
  #isOver = false;
  readonly injected = new Map<FaultName, number>();

  constructor(world: World, chosen: readonly FaultName[]) {
    this.#world = world;
    this.#random = world.random.branch("nemesis");
    this.#chosen = chosen;
  }

  async run(pauseMs: readonly [number, number]): Promise<void> {
    const { outside, central } = this.#world;
    backUp(central);
    while (!this.#isOver && this.#chosen.length > 0) {
      await outside.after(this.#random.between(...pauseMs));
      if (!this.#isOver) this.#strike(this.#random.pick(this.#chosen));
    }
  }

  #strike(name: FaultName): void {
    if (this.#active.has(name)) return;
    const { trace, outside } = this.#world;
    const { lastsMs, isPossible = () => true, begin }: Fault = faults[name];
    const at = this.#random.pick(this.#world.datacenters);
    if (!isPossible(at)) return;
    // Short ones are more frequent than long ones, by their logarithm.
    const ms = Math.exp(this.#random.between(Math.log(lastsMs[0]), Math.log(lastsMs[1])));
    trace.say(`FAULT ${name} for ${Math.round(ms)} ms`);
    this.injected.set(name, (this.injected.get(name) ?? 0) + 1);
    this.#active.set(name, begin(at, this.#random.branch(`${name} ${this.#world.time.nowMs}`)));
    outside.later(ms, () => void this.#end(name));
  }

  async #end(name: FaultName): Promise<void> {
    const end = this.#active.get(name);
    if (!end) return;
    this.#active.delete(name);
    this.#world.trace.say(`ended ${name}`);
    await end();
  }

  stop(): void {
    this.#isOver = true;
    for (const name of [...this.#active.keys()]) void this.#end(name);
  }
}
