// Invariant 8 of reports: what an agent has told and need not tell again is what central holds, whoever else has spoken for the partition.
import { equals } from "@bufbuild/protobuf";
import type { Agent } from "#agent/agent.ts";
import { kinds } from "#central/store/kinds.ts";
import { type MachineObserved, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Judge } from "./judge.ts";

const lookEveryMs = 2_000;
/** A central that sees changes late may answer for so long by what it has seen, after that is over. */
const calmAfterMs = 60_000;
/** The answer to a report tells that somebody else has spoken; the second one was made for certain after that had been seen. */
const answersMin = 2;
const answerIsUsedMs = 5_000;

export interface Reporter {
  readonly partition: string;
  readonly agent: () => Agent | undefined;
  /** Whether its disk takes what it writes at once, and every central sees what is stored at once. */
  readonly isCalm: () => boolean;
}

export class Acknowledged {
  readonly #reporter: Reporter;
  readonly #judge: Judge;
  #lookMs = 0;
  #calmMs = 0;
  /** Since when central holds something else than the agent, which has nothing to tell; virtual milliseconds. */
  #sinceMs: number | undefined;
  /** Reports that were begun and answered since then, and when the last one was. */
  #answers = 0;
  #answeredMs = 0;
  readonly #compared = new Map<string, { own: MachineObserved; held: MachineObserved | undefined; isSame: boolean }>();

  constructor(reporter: Reporter, judge: Judge) {
    this.#reporter = reporter;
    this.#judge = judge;
  }

  /** A report of the agent was answered. @param begunMs virtual milliseconds */
  onReported(begunMs: number): void {
    if (this.#sinceMs === undefined || begunMs <= this.#sinceMs) return;
    this.#answers++;
    this.#answeredMs = this.#judge.seen.nowMs();
  }

  /** After every event. */
  check(): void {
    const nowMs = this.#judge.seen.nowMs();
    if (nowMs < this.#lookMs) return;
    this.#lookMs = nowMs + lookEveryMs;
    if (!this.#reporter.isCalm()) this.#calmMs = nowMs + calmAfterMs;
    const machine = nowMs < this.#calmMs ? undefined : this.#differing();
    if (machine === undefined) {
      this.#sinceMs = undefined;
      this.#answers = 0;
      return;
    }
    this.#sinceMs ??= nowMs;
    if (this.#answers >= answersMin && nowMs - this.#answeredMs > answerIsUsedMs)
      this.#judge.fail(
        8,
        `central holds something else of machine ${machine} than its agent, which has nothing to tell`,
      );
  }

  /** A machine of which central does not hold what the agent has told; undefined also while it has yet to tell something. */
  #differing(): string | undefined {
    const agent = this.#reporter.agent();
    if (!agent || agent.outbox.size > 0 || agent.link.state.phase !== "following") return undefined;
    const found = agent.site.observations.list().find((own) => !this.#isHeld(own));
    if (!found) return undefined;
    // What central will never take is kept aside.
    return agent.outbox.rejected().some(({ entry }) => entry.id === found.uuid) ? undefined : found.uuid;
  }

  #isHeld(own: MachineObserved): boolean {
    const held = this.#judge.seen.truth.get(kinds.machineObserved, own.uuid)?.value;
    const before = this.#compared.get(own.uuid);
    if (before?.own === own && before.held === held) return before.isSame;
    this.#judge.checked();
    const isSame = held !== undefined && equals(MachineObservedSchema, own, held);
    this.#compared.set(own.uuid, { own, held, isSame });
    return isSame;
  }
}
