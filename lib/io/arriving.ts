import { Code, ConnectError, type ContextKey, createContextKey, type Interceptor } from "@connectrpc/connect";

/** How many bytes of messages that are not whole yet a port holds, all its connections together. */
export class Arriving {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** @throws ConnectError ResourceExhausted when that is too much */
  take(bytes: number): void {
    if (this.#bytes + bytes > this.#bytesMax)
      throw new ConnectError(
        `messages that are arriving exceed ${this.#bytesMax} bytes together: try again later`,
        Code.ResourceExhausted,
      );
    this.#bytes += bytes;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** One request on its way in: what is held of it, and until when it has to be here. */
export class ArrivingRequest {
  readonly #all: Arriving;
  readonly #late: Promise<never>;
  #timer: NodeJS.Timeout | undefined;
  #bytes = 0;

  constructor(all: Arriving, withinMs: number) {
    this.#all = all;
    this.#late = new Promise((_, reject) => {
      this.#timer = setTimeout(() => {
        reject(new ConnectError(`the request did not arrive within ${withinMs} ms`, Code.DeadlineExceeded));
      }, withinMs);
    });
    // It may come when nobody waits for a chunk.
    this.#late.catch(() => {});
  }

  /** The same promise, but it rejects with DeadlineExceeded when the time is over before as much is here as is waited for. */
  inTime<T>(chunk: Promise<T>): Promise<T> {
    // Whatever is raced with a promise stays with it, and streams that have begun go on for days.
    return this.#timer === undefined ? chunk : Promise.race([chunk, this.#late]);
  }

  take(bytes: number): void {
    this.#all.take(bytes);
    this.#bytes += bytes;
  }

  /** A message is whole: whoever handles it holds it now. */
  release(): void {
    this.#all.give(this.#bytes);
    this.#bytes = 0;
  }

  /** All of it is here, or as much as is waited for. */
  isHere(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

export const arrivingKey: ContextKey<ArrivingRequest | undefined> = createContextKey<ArrivingRequest | undefined>(
  undefined,
  { description: "the request, on its way in" },
);

/** Goes outermost. Who sends messages for days has to begin in time, and holds only the one that is not whole. */
export const arrivals: Interceptor = (next) => (request) => {
  const arriving = request.contextValues.get(arrivingKey);
  if (!request.stream || arriving === undefined) return next(request);
  const { method, message: messages } = request;
  const isOne = method.methodKind === "server_streaming";
  const arrived = async function* () {
    for await (const message of messages) {
      arriving.release();
      if (!isOne) arriving.isHere();
      yield message;
    }
  };
  return next({ ...request, message: arrived() });
};
