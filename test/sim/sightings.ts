import type { Life } from "./life.ts";

/** "bmc": its BMC answered; "word": it called the agent. */
export type Sight = "bmc" | "word";

/** When the agents last saw or heard something of each machine, by their own clocks: nothing that they report may be newer. */
export class Sightings {
  /** Wall-clock milliseconds, by kind of sight and machine. */
  readonly #lastMs = new Map<string, number>();
  /** Lives of agents that are answering a call of the machine right now; each as often as it has calls. */
  readonly #answering = new Map<string, Life[]>();

  /** @param wallMs by the clock of whoever saw it, which may be wrong */
  saw(sight: Sight, uuid: string, wallMs: number): void {
    const key = `${sight} ${uuid}`;
    this.#lastMs.set(key, Math.max(wallMs, this.#lastMs.get(key) ?? 0));
  }

  /** A call of the machine has arrived; until it is answered, it is being heard. @returns to be told when it is answered */
  hears(uuid: string, life: Life): () => void {
    const answering = this.#answering.get(uuid) ?? [];
    this.#answering.set(uuid, answering);
    answering.push(life);
    // Its clock may be set right before it has answered.
    this.saw("word", uuid, life.wallMs());
    // It may be killed after it has written down that it was called.
    const forget = life.onEnd(() => this.saw("word", uuid, life.wallMs()));
    return () => {
      forget();
      answering.splice(answering.indexOf(life), 1);
      this.saw("word", uuid, life.wallMs());
    };
  }

  /** By how many milliseconds a time that is shown is later than the last sight of its kind; 0 when it is not. */
  newerByMs(sight: Sight, uuid: string, shownMs: number): number {
    const nowMs = (this.#answering.get(uuid) ?? []).filter((life) => life.isAlive).map((life) => life.wallMs());
    const lastMs = Math.max(0, this.#lastMs.get(`${sight} ${uuid}`) ?? 0, ...(sight === "word" ? nowMs : []));
    return Math.max(0, shownMs - lastMs);
  }
}
