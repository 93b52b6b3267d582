import { createHash } from "node:crypto";
import { setMaxListeners } from "node:events";
import { Seeded } from "#lib/seeded.ts";
import { type FaultName, faultNames, Nemesis } from "./faults.ts";
import { unsettled } from "./settled.ts";
import { OnSite, User } from "./user.ts";
import { World } from "./world.ts";

export interface Outcome {
  readonly seed: number;
  readonly faults: readonly FaultName[];
  /** Undefined: everything held. */
  readonly failure: string | undefined;
  readonly events: number;
  readonly virtualMs: number;
  readonly checks: number;
  readonly injected: ReadonlyMap<FaultName, number>;
  /** Marks of the source that it came by. */
  readonly marks: ReadonlySet<string>;
  /** SHA-256 of the trace, in hex: the same for every run of the seed. */
  readonly digest: string;
  readonly trace: readonly string[];
}

const calmMs = 180_000;
const settleMs = 6 * 3_600_000;
const lookMs = 10_000;

/** The faults that a seed takes: each with a chance that the seed itself decides, so that some runs have few and some have all. */
export function faultsOf(seed: number): readonly FaultName[] {
  const random = new Seeded(seed).branch("swarm");
  const share = random.next();
  return faultNames.filter(() => random.chance(share));
}

/** One seed from beginning to end: a calm beginning, a time of faults, and the time after them in which all must come right. */
export async function runSeed(seed: number, faults: readonly FaultName[] = faultsOf(seed)): Promise<Outcome> {
  // Calls to the dead stay open, each with its listener.
  setMaxListeners(0);
  const random = new Seeded(seed).branch("run");
  const world = new World({ seed, servers: random.pick([1, 1, 2, 2, 3]), centrals: random.pick([1, 1, 2]) });
  const nemesis = new Nemesis(world, faults);
  const user = new User(world);
  const failure = await lived(world, nemesis, user, random);
  if (failure !== undefined) world.trace.say(`FAILED ${failure}`);
  world.agent.kill();
  world.central.kill();
  return {
    seed,
    faults,
    failure,
    events: world.time.events,
    virtualMs: world.time.nowMs,
    checks: world.invariants.checks,
    injected: nemesis.injected,
    marks: world.trace.marks,
    digest: createHash("sha256").update(world.trace.lines.join("\n")).digest("hex"),
    trace: world.trace.lines,
  };
}

async function lived(world: World, nemesis: Nemesis, user: User, random: Seeded): Promise<string | undefined> {
  const leaving = new AbortController();
  // What goes wrong in the run's own hands ends it as well.
  let broken: unknown;
  const owned = (work: Promise<void>) => void work.catch((error: unknown) => (broken ??= error));
  try {
    await world.begin();
    await world.run(random.chance(0.5) ? calmMs : 1_000, () => broken !== undefined);
    owned(new OnSite(world).run([20_000, 240_000], leaving.signal));
    owned(user.run([5_000, 90_000], leaving.signal));
    owned(nemesis.run([3_000, 60_000]));
    await world.run(random.between(120_000, 600_000), () => broken !== undefined);
    nemesis.stop();
    leaving.abort();
    const endMs = world.time.nowMs + settleMs;
    let why = unsettled(world) ?? "it has only just begun";
    while (world.time.nowMs < endMs && broken === undefined) {
      await world.run(lookMs);
      const { violation } = world.invariants;
      if (violation !== undefined) return violation;
      const now = unsettled(world);
      if (now === undefined) return undefined;
      why = now;
    }
    if (broken !== undefined) throw broken;
    return `invariant 15 (faults stop, and all comes right): after ${settleMs / 3_600_000} h ${why}`;
  } catch (error) {
    return `the run itself broke: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  }
}
