import type { Seeded } from "#lib/seeded.ts";
import type { Datacenter } from "./datacenter.ts";
import { drawn, type Fault } from "./fault.ts";
import { type FaultName, faults } from "./faults.ts";
import { backUp } from "./store-faults.ts";
import type { Taken } from "./swarm.ts";
import type { World } from "./world.ts";

/**
 * Lets the faults happen that a seed takes, several at a time, until it is told to stop; then all of them are ended. Each has a chance of
 * its own: when one is dropped, the others strike when they did.
 */
export class Nemesis {
  readonly #world: World;
  readonly #taken: readonly Taken[];
  readonly #active = new Map<FaultName, () => Promise<void> | void>();
  #isOver = false;
  readonly injected = new Map<FaultName, number>();

  constructor(world: World, taken: readonly Taken[]) {
    this.#world = world;
    this.#taken = taken;
  }

  async run(): Promise<void> {
    backUp(this.#world.central);
    await Promise.all(this.#taken.map((one) => this.#strikeOn(one)));
  }

  /** Strikes are as far apart as rain drops are: by chance, at a rate. */
  async #strikeOn(one: Taken): Promise<void> {
    const { outside, random } = this.#world;
    const own = random.branch("nemesis").branch(one.name);
    for (let strikes = 0; ; strikes++) {
      await outside.after(-Math.log(1 - own.next()) * one.everyMs);
      if (this.#isOver) return;
      this.#strike(one, own.branch(`${strikes}`));
    }
  }

  #strike({ name, strength }: Taken, random: Seeded): void {
    if (this.#active.has(name)) return;
    const { trace, outside, datacenters } = this.#world;
    const one: Fault = faults[name];
    const at: Datacenter = random.pick(datacenters);
    if (one.isPossible?.(at) === false) return;
    const ms = drawn(random, one.lastsMs);
    trace.say(`FAULT ${name} for ${Math.round(ms)} ms`);
    this.injected.set(name, (this.injected.get(name) ?? 0) + 1);
    this.#active.set(name, one.begin(at, { strength, random: random.branch("begin") }));
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
