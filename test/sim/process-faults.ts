import type { AgentNode } from "./agent-node.ts";
import type { CentralNode } from "./central-node.ts";
import type { Datacenter } from "./datacenter.ts";
import { SimDisk } from "./disk.ts";
import { fault, type Range } from "./fault.ts";
import { Line } from "./line.ts";

/** A clock that is ten minutes off, either way. */
const skewMs: Range = [1_000, 600_000];
/** An order lives for two minutes: only a clock that is further off than that takes one for what it is not. */
const agentSkewMs: Range = [60_000, 600_000];
const pauseMs: Range = [1, 600_000];
/** Waits of a process since something happened in it, before which it is killed. */
const waitsCount: Range = [1, 100];

/** @returns what spares it if it lives, and else brings it back */
function killedAtWork(one: CentralNode | AgentNode, waits: number): () => Promise<void> | void {
  const spare = one.killAtWork(waits);
  return () => {
    spare();
    return one.revive();
  };
}

/** Of the processes: they die, stand still, and have clocks and copies. */
export const processFaults = {
  "central dies": fault({
    lastsMs: [1_000, 180_000],
    begin: ({ central }, { random }) => {
      const one = random.pick(central.all);
      one.kill();
      return () => one.revive();
    },
  }),
  "central dies at work": fault({
    lastsMs: [2_000, 120_000],
    strength: { waitsCount },
    begin: ({ central }, { random, strength }) => {
      const one = random.pick(central.all);
      return killedAtWork(one, random.below(strength.waitsCount));
    },
  }),
  "central stands still": fault({
    lastsMs: [1, 1],
    strength: { pauseMs },
    begin: ({ central }, { random, strength }) => {
      random.pick(central.all).pause(random.between(1, strength.pauseMs));
      return () => {};
    },
  }),
  "a central's clock wrong": fault({
    lastsMs: [10_000, 900_000],
    strength: { skewMs },
    begin: ({ central }, { random, strength }) => {
      const one = random.pick(central.all);
      one.skewMs = random.between(-strength.skewMs, strength.skewMs);
      return () => {
        one.skewMs = 0;
      };
    },
  }),
  "agent dies": fault({
    lastsMs: [500, 120_000],
    begin: ({ agent }) => {
      agent.kill();
      return () => agent.revive();
    },
  }),
  "agent dies at work": fault({
    lastsMs: [2_000, 120_000],
    strength: { waitsCount },
    begin: ({ agent }, { random, strength }) => killedAtWork(agent, random.below(strength.waitsCount)),
  }),
  "agent stands still": fault({
    lastsMs: [1, 1],
    strength: { pauseMs },
    begin: ({ agent }, { random, strength }) => {
      agent.pause(random.between(1, strength.pauseMs));
      return () => {};
    },
  }),
  "agent's clock wrong": fault({
    lastsMs: [60_000, 900_000],
    strength: { skewMs: agentSkewMs },
    begin: (at, { random, strength }) => {
      at.skewMs = random.between(-strength.skewMs, strength.skewMs);
      return () => {
        at.skewMs = 0;
      };
    },
  }),
  "agent copied": fault({
    lastsMs: [30_000, 600_000],
    begin: (at: Datacenter, { random }) => {
      const disk = new SimDisk(random.branch("copy's disk"), "copy's disk");
      disk.restore(at.agentDisk.copy());
      const line = new Line(at.world.time, random.branch("copy's line"));
      // It may be alone with what it remembers: nobody at central can tell it then that it is one too many. Or it stands in for the agent
      // while that is out of reach.
      const whoIsCutOff = random.pick(["nobody", "the copy", "the agent"]);
      if (whoIsCutOff === "the copy") line.cut();
      const heal = whoIsCutOff === "the agent" ? at.link.cut() : undefined;
      const copy = at.copyOfAgent(disk, line);
      const up = copy.start();
      return async () => {
        copy.kill();
        // Whoever ends one looks after the other one then.
        if (heal) at.world.outside.later(random.between(100, 10_000), heal);
        await up;
      };
    },
  }),
} as const;
