import { Bell } from "#lib/bell.ts";
import type { ChangeBatch } from "./cache.ts";

/** Batches that a subscriber may be behind before it is ended. */
export const lagMax = 10_000;

interface Subscriber {
  readonly waiting: ChangeBatch[];
  readonly bell: Bell;
  /** Why there will be no more, or that there will be none. */
  ended: Error | "closed" | undefined;
}

/** Hands each batch to every subscriber, each at its own pace. */
export class ChangeFeed {
  readonly #subscribers = new Set<Subscriber>();
  #isClosed = false;

  publish(batch: ChangeBatch): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.waiting.push(batch) > lagMax)
        this.#end(subscriber, new Error(`a subscriber of changes is more than ${lagMax} batches behind`));
      else subscriber.bell.ring();
    }
  }

  /** Subscribes at once, not at the first read, so that a list read in the same turn is what the batches build on. */
  subscribe(signal: AbortSignal): AsyncIterable<ChangeBatch> {
    const subscriber: Subscriber = { waiting: [], bell: new Bell(), ended: undefined };
    if (!signal.aborted && !this.#isClosed) this.#subscribers.add(subscriber);
    else subscriber.ended = "closed";
    signal.addEventListener("abort", () => this.#end(subscriber, "closed"), { once: true });
    return this.#read(subscriber, signal);
  }

  /** Ends every subscription with this error. */
  endAll(error: Error): void {
    for (const subscriber of this.#subscribers) this.#end(subscriber, error);
  }

  /** Ends every subscription quietly, those to come as well. */
  close(): void {
    this.#isClosed = true;
    for (const subscriber of this.#subscribers) this.#end(subscriber, "closed");
  }

  async *#read(subscriber: Subscriber, signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    try {
      while (subscriber.ended !== "closed") {
        if (subscriber.ended !== undefined) throw subscriber.ended;
        const batches = subscriber.waiting.splice(0);
        if (batches.length === 0) await subscriber.bell.wait(signal);
        for (const batch of batches) {
          if (subscriber.ended === "closed") return;
          yield batch;
        }
      }
    } finally {
      this.#subscribers.delete(subscriber);
    }
  }

  #end(subscriber: Subscriber, why: Error | "closed"): void {
    this.#subscribers.delete(subscriber);
    subscriber.ended = why;
    subscriber.waiting.length = 0;
    subscriber.bell.ring();
  }
}
