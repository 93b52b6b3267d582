import { createHash } from "node:crypto";
import { setMaxListeners } from "node:events";
import { kinds } from "#central/store/kinds.ts";
import { Seeded } from "#lib/seeded.ts";
import { BudgetPeople } from "./budgets.ts";
import type { FaultName } from "./faults.ts";
import { Nemesis } from "./nemesis.ts";
import { unsettled } from "./settled.ts";
import { faultsOf, type Taken } from "./swarm.ts";
import { OnSite, User } from "./user.ts";
import { World } from "./world.ts";

export interface Outcome {
  readonly seed: number;
  readonly faults: readonly Taken[];
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
/** Of the seeds, in which everything is given back at the end: it takes as long as all that was before. */
const givenBackShare = 0.25;
/** Of the seeds, in which partitions have budgets. */
const budgetShare = 0.3;

/** In every ninth seed agents join, and their certificates last from 3 to 15 minutes. In the others central believes who they are. */
const certificateMsOf = (seed: number): number | undefined =>
  seed % 9 === 7 ? 180_000 + new Seeded(seed).branch("certificates").below(720_000) : undefined;

/** One seed from beginning to end: a calm beginning, a time of faults, and the time after them in which all must come right. */
export async function runSeed(seed: number, faults: readonly Taken[] = faultsOf(seed)): Promise<Outcome> {
  // Calls to the dead stay open, each with its listener.
  setMaxListeners(0);
  const random = new Seeded(seed).branch("run");
  const world = new World({
    seed,
    servers: random.pick(layouts),
    centrals: random.pick([1, 1, 2]),
    certificateMs: certificateMsOf(seed),
  });
  const nemesis = new Nemesis(world, faults);
  const user = new User(world);
  const people = new Seeded(seed).branch("budgets").chance(budgetShare) ? new BudgetPeople(world) : undefined;
  const failure = await lived(world, nemesis, { user, people }, random);
  if (failure !== undefined) world.trace.say(`FAILED ${failure}`);
  for (const { agent } of world.datacenters) agent.kill();
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

/** Servers in each datacenter. */
const layouts: readonly (readonly number[])[] = [[1], [1], [2], [2], [3], [1, 1]];

interface Ending {
  /** Of the invariant. */
  readonly number: number;
  readonly what: string;
  /** Beyond what holds for every world that is settled. */
  readonly missing: () => string | undefined;
}

/** @returns what was broken meanwhile, or what has not come right in time */
async function settles(
  world: World,
  { number, what, missing }: Ending,
  broken: () => unknown,
): Promise<string | undefined> {
  const endMs = world.time.nowMs + settleMs;
  let why = "it has only just begun";
  while (world.time.nowMs < endMs && broken() === undefined) {
    await world.run(lookMs);
    const { violation } = world.invariants;
    if (violation !== undefined) return violation;
    const now = missing() ?? unsettled(world);
    if (now === undefined) return undefined;
    why = now;
  }
  if (broken() !== undefined) throw broken();
  return `invariant ${number} (${what}): after ${settleMs / 3_600_000} h ${why}`;
}

interface Folk {
  readonly user: User;
  readonly people: BudgetPeople | undefined;
}

async function lived(world: World, nemesis: Nemesis, { user, people }: Folk, random: Seeded) {
  const leaving = new AbortController();
  // What goes wrong in the run's own hands ends it as well.
  let broken: unknown;
  const owned = (work: Promise<void>) => void work.catch((error: unknown) => (broken ??= error));
  try {
    await world.begin();
    await world.run(random.chance(0.5) ? calmMs : 1_000, () => broken !== undefined);
    owned(new OnSite(world).run([20_000, 240_000], leaving.signal));
    owned(world.doorkeeper?.run([20_000, 60_000], leaving.signal) ?? Promise.resolve());
    owned(user.run([5_000, 90_000], leaving.signal));
    owned(user.lightUp([5_000, 40_000], leaving.signal));
    if (people) owned(people.run([5_000, 60_000], leaving.signal));
    owned(nemesis.run());
    await world.run(random.between(120_000, 480_000), () => broken !== undefined);
    nemesis.stop();
    leaving.abort();
    const right: Ending = { number: 15, what: "faults stop, and all comes right", missing: () => undefined };
    const failure = await settles(world, right, () => broken);
    if (failure !== undefined || !random.chance(givenBackShare)) return failure;
    owned(user.deleteAll());
    const isHeld = () => world.truth.list(kinds.machineDesired).some(({ value }) => value.allocation !== undefined);
    const missing = () => (isHeld() ? "a machine is still allocated" : undefined);
    return await settles(world, { number: 16, what: "all is given back", missing }, () => broken);
  } catch (error) {
    return `the run itself broke: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  }
}
