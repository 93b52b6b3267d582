import { honest } from "./bmc.ts";
import { fault } from "./fault.ts";

/** Of what stands in the datacenter beside the agent. */
export const rackFaults = {
  "BMCs misbehave": fault({
    lastsMs: [10_000, 600_000],
    strength: { badShare: [0.02, 0.6] },
    begin: (at, { random, strength }) => {
      const some = () => (random.chance(0.5) ? strength.badShare : 0);
      at.quirks = { dead: some(), slow: some(), idle: some(), lying: some(), full: some() };
      return () => {
        at.quirks = honest;
      };
    },
  }),
  "switch misbehaves": fault({
    lastsMs: [10_000, 600_000],
    strength: { unreachableShare: [0.1, 1], appliedShare: [0.02, 0.4] },
    begin: ({ leaf }, { strength }) => {
      leaf.faults = { unreachable: strength.unreachableShare, errorButApplied: strength.appliedShare };
      return () => {
        leaf.faults = { unreachable: 0, errorButApplied: 0 };
      };
    },
  }),
  "a server loses power": fault({
    lastsMs: [1_000, 60_000],
    begin: ({ servers }, { random }) => {
      const server = random.pick(servers);
      if (server.power === "off") return () => {};
      server.switchTo("off");
      return () => server.switchTo("on");
    },
  }),
  "a server loses power at work": fault({
    lastsMs: [30_000, 600_000],
    strength: { waitsCount: [1, 60] },
    begin: ({ servers }, { random, strength }) => random.pick(servers).loseAtWork(random.below(strength.waitsCount)),
  }),
  "images' source away": fault({
    lastsMs: [10_000, 600_000],
    begin: (at) => {
      at.imagesUp = false;
      return () => {
        at.imagesUp = true;
      };
    },
  }),
} as const;
