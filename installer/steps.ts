import { create } from "@bufbuild/protobuf";
import { type InstallStep, InstallStepSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { reasonOf } from "#lib/reason-of.ts";
import { timestamp } from "./time.ts";

/** A step ended badly. The text is what people read: the step, then the thing and the value that are wrong. */
export class StepFailed extends Error {
  readonly step: string;

  constructor(step: string, reason: string, cause?: unknown) {
    super(`${step}: ${reason}`, { cause });
    this.step = step;
  }
}

/** A line on the serial console. */
export type Say = (step: string, text: string) => void;

export interface StepPorts {
  readonly clock: Clock;
  readonly say: Say;
  /** In the order of the steps. */
  readonly report: (steps: InstallStep[]) => Promise<void>;
}

/** Telling costs a slow machine as much as a short step does, so a few steps are told at once. */
const gatherMs = 1_000;

/**
 * Times the steps and tells of them. Telling goes on behind the work, in the order of the steps, and of one step only the
 * latest news are worth telling: a step that has ended before its beginning was told is told once.
 */
export class Steps {
  readonly #ports: StepPorts;
  readonly #untold = new Map<string, InstallStep>();
  #telling: Promise<void> = Promise.resolve();
  readonly #gathering = new AbortController();
  #isTelling = false;

  constructor(ports: StepPorts) {
    this.#ports = ports;
  }

  /** @param work resolves to what is worth saying of it */
  async run<T>(name: string, work: () => Promise<T>, detail: (result: T) => string = () => ""): Promise<T> {
    const { clock, say } = this.#ports;
    const began = clock.monotonicMs();
    const startedAt = timestamp(clock.wallMs());
    this.#tell(create(InstallStepSchema, { name, startedAt }));
    try {
      const result = await work();
      const text = detail(result);
      say(name, `${((clock.monotonicMs() - began) / 1000).toFixed(2)} s ${text}`.trim());
      this.#tell(create(InstallStepSchema, { name, startedAt, endedAt: timestamp(clock.wallMs()), detail: text }));
      return result;
    } catch (error) {
      const failed = error instanceof StepFailed ? error : new StepFailed(name, reasonOf(error), error);
      say(name, `failed: ${failed.message}`);
      this.#tell(
        create(InstallStepSchema, {
          name,
          startedAt,
          endedAt: timestamp(clock.wallMs()),
          error: failed.message.slice(0, 1000),
        }),
      );
      throw failed;
    }
  }

  /** From now on all is told without gathering. Resolves when all is told, or after `limitMs`. */
  async told(limitMs: number): Promise<void> {
    this.#gathering.abort();
    const limit = new AbortController();
    await Promise.race([this.#telling, this.#ports.clock.sleep(limitMs, limit.signal).catch(() => {})]);
    limit.abort();
  }

  #tell(step: InstallStep): void {
    this.#untold.delete(step.name);
    this.#untold.set(step.name, step);
    if (!this.#isTelling) this.#telling = this.#tellAll();
  }

  async #tellAll(): Promise<void> {
    this.#isTelling = true;
    while (this.#untold.size > 0) {
      await this.#ports.clock.sleep(gatherMs, this.#gathering.signal).catch(() => {});
      const news = [...this.#untold.values()];
      this.#untold.clear();
      // A refused report is not worth an installation.
      await this.#ports
        .report(news)
        .catch((error: unknown) => this.#ports.say(news[0]?.name ?? "", `not told: ${reasonOf(error)}`));
    }
    this.#isTelling = false;
  }
}
