import type { Log } from "./log.ts";

/** What was started, and how to stop it again; stops run in reverse order of starting. */
export class Lifetime {
  readonly #log: Log;
  readonly #stops: { readonly name: string; readonly stop: () => Promise<void> | void }[] = [];
  readonly #controller = new AbortController();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Aborted when the stop begins: hand it to loops and streams. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  onStop(name: string, stop: () => Promise<void> | void): void {
    this.#stops.push({ name, stop });
  }

  /** Owns a long-running promise: its failure is logged, and the stop waits for it. */
  own(name: string, work: Promise<void>): void {
    const settled = work.catch((error: unknown) => {
      if (!this.signal.aborted) this.#log.error("background-work-failed", { name, error });
    });
    this.onStop(name, () => settled);
  }

  /** Stops all, last started first. One that fails is logged and does not keep the others running. */
  async stop(): Promise<void> {
    this.#controller.abort(new Error("stopping"));
    for (const { name, stop } of this.#stops.splice(0).reverse()) {
      try {
        await stop();
      } catch (error) {
        this.#log.error("stop-failed", { name, error });
      }
    }
  }
}
