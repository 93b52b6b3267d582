// Invariant 13: whoever reads a machine's timeline learns how each of its boots ended.
import { eventName, stateOf } from "#domain/machine/lifecycle.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineProvisioningEventType as Event, MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Judge } from "./judge.ts";

/** After these something is still to come. Waiting, Phoned Home, Crashed, Planned Reboot and Machine Reclaim are verdicts. */
const underWay: readonly Event[] = [
  Event.PXE_BOOTING,
  Event.PREPARING,
  Event.REGISTERING,
  Event.INSTALLING,
  Event.BOOTING_NEW_KERNEL,
];

/** Of an agent that is up and does not stand still: a boot that goes on, or one after the other of which none is told how it ended. */
const verdictMs = 45 * 60_000;

interface Boot {
  readonly partition: string;
  /** Virtual milliseconds. */
  readonly sinceMs: number;
  readonly state: Event;
}

export class Boots {
  readonly #judge: Judge;
  /** Those that are under way, by the machine's uuid. */
  readonly #open = new Map<string, Boot>();

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  /** An agent has written down what it sees. That a machine has fallen silent is a verdict, too. */
  onObserved(partition: string, { uuid, events, liveliness }: MachineObserved): void {
    this.#judge.checked();
    const state = stateOf(events);
    const isOpen = underWay.includes(state) && liveliness === MachineLiveliness.ALIVE;
    if (!isOpen) this.#open.delete(uuid);
    else
      this.#open.set(uuid, {
        ...(this.#open.get(uuid) ?? { partition, sinceMs: this.#judge.seen.nowMs() }),
        state,
      });
  }

  /** After every event. */
  check(): void {
    const { awakeSinceMs, nowMs } = this.#judge.seen;
    for (const [uuid, { partition, sinceMs, state }] of this.#open) {
      if (nowMs() - sinceMs <= verdictMs) continue;
      const awakeMs = awakeSinceMs(partition) ?? nowMs();
      const forMs = nowMs() - Math.max(sinceMs, awakeMs);
      if (forMs > verdictMs)
        this.#judge.fail(
          13,
          `machine ${uuid} has come to no verdict for ${Math.round(forMs / 60_000)} min, and is at ${eventName(state)}`,
        );
    }
  }
}
