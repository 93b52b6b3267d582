import type { Position, Thing } from "#gen/holdfast/api/v1/thing_pb.ts";
import type { WatchServiceWatchResponse } from "#gen/holdfast/api/v1/watch_pb.ts";

/** Reads a stream one event at a time; told in words: `put KIND ID`, `deleted KIND ID`, `bookmark`. */
export class WatchReader {
  readonly things: Thing[] = [];
  /** The last that was read. */
  position: Position | undefined;
  readonly #events: AsyncIterator<WatchServiceWatchResponse>;

  constructor(stream: AsyncIterable<WatchServiceWatchResponse>) {
    this.#events = stream[Symbol.asyncIterator]();
  }

  async next(): Promise<string> {
    const { done, value } = await this.#events.next();
    if (done) return "end";
    const { event } = value as WatchServiceWatchResponse;
    switch (event.case) {
      case "put":
        this.things.push(event.value);
        return `put ${event.value.kind} ${event.value.id}`;
      case "deleted":
        return `deleted ${event.value.kind} ${event.value.id}`;
      case "bookmark":
        this.position = event.value;
        return "bookmark";
      default:
        return "nothing";
    }
  }

  /** All up to the next bookmark. */
  async toBookmark(): Promise<string[]> {
    const events: string[] = [];
    for (let event = await this.next(); event !== "bookmark"; event = await this.next()) {
      if (event === "end") throw new Error(`the stream ended after ${events.join(", ")}`);
      events.push(event);
    }
    return events;
  }
}
