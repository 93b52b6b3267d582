// Invariant 7: a machine that nobody reaches any more is still the machine that it was.
import { kinds } from "#central/store/kinds.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Judge } from "./judge.ts";

/** What was seen of a machine once, whatever becomes of its BMC, its port or its agent. Nobody forgets machines in a run. */
const facts: Readonly<Record<string, (m: MachineObserved) => unknown>> = {
  "its hardware": (m) => m.hardware,
  "its BMC": (m) => m.bmc?.address || undefined,
  "its rack": (m) => m.rack || undefined,
  "its port": (m) => m.port?.port || undefined,
  "its events": (m) => m.events?.events[0],
  "the last sign of life": (m) => m.heardAt,
  "when its BMC was seen": (m) => m.bmcUpdatedAt,
};

export class Known {
  readonly #judge: Judge;
  /** What central has known, by uuid; that there is a record at all is the fact "". */
  readonly #known = new Map<string, Set<string>>();

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  /** It knows what its copy knew. */
  onStoreRestore(): void {
    this.#known.clear();
  }

  /** The store has changed. */
  check(): void {
    const { truth } = this.#judge.seen;
    for (const { uuid } of this.#judge.seen.servers) {
      const isRecorded = truth.get(kinds.machineDesired, uuid) !== undefined;
      const observed = truth.get(kinds.machineObserved, uuid)?.value;
      const known = this.#known.get(uuid) ?? new Set<string>();
      this.#known.set(uuid, known);
      this.#look(uuid, known, "its record", isRecorded);
      for (const [fact, of] of Object.entries(facts))
        this.#look(uuid, known, fact, observed !== undefined && of(observed) !== undefined);
    }
  }

  #look(uuid: string, known: Set<string>, fact: string, isThere: boolean): void {
    if (isThere) known.add(fact);
    else if (known.has(fact)) this.#judge.fail(7, `machine ${uuid}: central knew ${fact}, and does not any more`);
  }
}
