// Invariant 14 of what partitions give away by themselves, and what else goes by that.
import { kinds } from "#central/store/kinds.ts";
import type { Judge } from "./judge.ts";
import { madeBeyond } from "./networks-made.ts";

export class GivenAway {
  readonly #judge: Judge;
  /** Epoch under which its partition gave a machine away, by uuid, until that is taken back. */
  readonly #epochs = new Map<string, bigint>();
  /** Partitions where a copy of the agent was let in, and the agent itself not since. */
  readonly #copyIn = new Set<string>();
  /** What was given away by a delegation that the store has forgotten: machines with their epochs, and networks. */
  readonly #undelegated = new Set<string>();

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  onStoreRestore(): void {
    const { locals, localNetworks } = this.#judge.seen;
    for (const { uuid, epoch } of locals()) this.#undelegated.add(`${uuid} ${epoch}`);
    for (const { network } of localNetworks()) this.#undelegated.add(network?.id ?? "");
  }

  /** Central follows an agent of the partition from now on. */
  onLetIn(partition: string, who: "agent" | "copy"): void {
    if (who === "copy") this.#copyIn.add(partition);
    else this.#copyIn.delete(partition);
  }

  isCopyIn(partition: string): boolean {
    return this.#copyIn.has(partition);
  }

  /** Whether the agent goes by what central's store has forgotten, or has told a copy of it since. @param thing that it gives away */
  #goesByOther(partition: string, thing: string): boolean {
    const { truth, historyOf } = this.#judge.seen;
    if (historyOf(partition) !== truth.history) this.#undelegated.add(thing);
    return this.#copyIn.has(partition) || this.#undelegated.has(thing);
  }

  onMachine(partition: string, uuid: string, budget: string, epoch: bigint): void {
    this.#judge.checked();
    this.#epochs.set(uuid, epoch);
    if (this.#goesByOther(partition, `${uuid} ${epoch}`)) return;
    const { truth } = this.#judge.seen;
    const { free, recalled } = truth.get(kinds.budget, budget)?.value ?? {};
    const isListed = [free, recalled].some((items) => items?.machines.includes(uuid));
    if (!isListed || truth.get(kinds.machineDesired, uuid)?.value.delegated?.budget !== budget)
      this.#judge.fail(14, `machine ${uuid} is given away, and is not of budget ${budget}`);
  }

  onNetwork(partition: string, id: string, budget: string): void {
    this.#judge.checked();
    if (this.#goesByOther(partition, id)) return;
    for (const why of madeBeyond(this.#judge.seen, id, budget)) this.#judge.fail(14, why);
  }

  onTakenBack(uuid: string): void {
    this.#epochs.delete(uuid);
  }

  /** Under which its partition has given the machine away; undefined when it has not. */
  epochOf(uuid: string): bigint | undefined {
    return this.#epochs.get(uuid);
  }

  /** Whether the store has forgotten by what delegation it was given away: what it is made of may be somebody else's by now. */
  isUndelegated(thing: string): boolean {
    return this.#undelegated.has(thing);
  }
}
