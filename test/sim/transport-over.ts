import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import type { Life } from "./life.ts";
import { deadAfterMs, type Line, type Way } from "./line.ts";

/** Who answers at the other end right now, and until when. */
export interface Far {
  readonly life: Life;
  readonly transport: Transport;
}

/** It comes every few seconds, whether or not anything has happened. */
const beat = "Report";

/**
 * Calls over a line to whoever lives at its end. Times out by the caller's clock, never by a real one.
 * @param reach undefined: nobody listens there
 */
export function transportOver(line: Line, caller: Life, reach: () => Far | undefined): Transport {
  const connection = new Connection(line);
  const there = async (life: Life): Promise<Far> => {
    caller.waits();
    await connection.arrives(life, "there");
    const far = reach();
    if (!far) throw new ConnectError("connection refused", Code.Unavailable);
    return far;
  };
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      // What was sent arrives, whatever becomes of the sender.
      const call = async () => {
        const far = await there(line.ether);
        if (method.name !== beat) far.life.acts();
        const once = () => far.transport.unary(method, signal, undefined, header, input, contextValues);
        if (line.isTwice) void once().catch(() => undefined);
        const answer = await answered(line.ether, far, once());
        far.life.waits();
        await connection.arrives(line.ether, "back");
        return answer;
      };
      return (await limited(caller, timeoutMs, signal, caller.hears(call()))) as never; // the types of the method are those of the call
    },

    async stream(method, signal, timeoutMs, header, input, contextValues) {
      const far = await limited(caller, timeoutMs, signal, there(caller));
      const response = await answered(
        caller,
        far,
        far.transport.stream(method, signal, undefined, header, input, contextValues),
      );
      return { ...response, message: delayed(connection, caller, far, response, signal) } as never; // as above
    },
  };
}

/** What all calls of one caller share, until it breaks: then the next call opens another one. */
class Connection {
  readonly #line: Line;
  #openedMs: number;

  constructor(line: Line) {
    this.#line = line;
    this.#openedMs = line.nowMs;
  }

  passes(way: Way): boolean {
    return this.#line.passes(way, this.#openedMs);
  }

  /** @throws as `Line.arrives` */
  async arrives(life: Life, way: Way): Promise<void> {
    const openedMs = this.#openedMs;
    try {
      await this.#line.arrives(life, way, openedMs);
    } catch (error) {
      if (this.#openedMs === openedMs) this.#openedMs = this.#line.nowMs;
      throw error;
    }
  }
}

/** What the far end says, or that it is gone: its host tells so when somebody asks it again. */
function answered<T>(caller: Life, far: Far, answer: Promise<T>): Promise<T> {
  return caller.hears(
    new Promise((resolve, reject) => {
      const forget = far.life.onEnd(() => caller.later(500, () => reject(gone())));
      answer.then(
        (value) => {
          forget();
          resolve(value);
        },
        (error: unknown) => {
          forget();
          reject(error);
        },
      );
    }),
  );
}

const gone = () => new ConnectError("the connection was reset", Code.Unavailable);

async function* delayed<M>(
  connection: Connection,
  caller: Life,
  far: Far,
  { message }: { readonly message: AsyncIterable<M> },
  signal: AbortSignal | undefined,
): AsyncIterable<M> {
  const iterator = message[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await limited(caller, undefined, signal, answered(caller, far, iterator.next()));
      if (next.done) return;
      await limited(caller, undefined, signal, connection.arrives(caller, "back"));
      yield next.value;
    }
  } finally {
    // The far end hears of it when it can.
    const tell = () => void iterator.return?.().catch(() => undefined);
    if (connection.passes("there")) tell();
    else far.life.later(deadAfterMs, tell);
  }
}

/** Gives up after the time or with the signal. */
function limited<T>(
  caller: Life,
  ms: number | undefined,
  signal: AbortSignal | undefined,
  work: Promise<T>,
): Promise<T> {
  if (ms === undefined && signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const cancel =
      ms === undefined
        ? () => {}
        : caller.later(ms, () => end(() => reject(new ConnectError("the operation timed out", Code.DeadlineExceeded))));
    const stop = () => end(() => reject(signal?.reason));
    const end = (finish: () => void) => {
      cancel();
      signal?.removeEventListener("abort", stop);
      finish();
    };
    work.then(
      (value) => end(() => resolve(value)),
      (error: unknown) => end(() => reject(error)),
    );
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) stop();
  });
}
