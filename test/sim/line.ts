import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import type { Seeded } from "#lib/seeded.ts";
import { Life } from "./life.ts";
import type { Time } from "./time.ts";

export interface LineFaults {
  /** Milliseconds one way, at most. */
  readonly delayMsMax: number;
  /** Probability that an answer is lost after the call was carried out. */
  readonly answerLost: number;
  /** Probability that a call is carried out twice. */
  readonly twice: number;
}

/** Silence after which a TCP connection, or whoever holds it, is given up (keep-alive pings of both our sides). */
const deadAfterMs = 40_000;

/** The network between two places: slow, or cut in one direction or both. What is cut is not told to anybody. */
export class Line {
  readonly #time: Time;
  readonly #random: Seeded;
  faults: LineFaults = { delayMsMax: 20, answerLost: 0, twice: 0 };
  #cut = { there: false, back: false };
  readonly #waiting = new Set<() => void>();
  /** What is on its way lives by itself. */
  readonly ether: Life;

  constructor(time: Time, random: Seeded) {
    this.#time = time;
    this.#random = random;
    this.ether = new Life("ether", time);
  }

  get isUp(): boolean {
    return !this.#cut.there && !this.#cut.back;
  }

  cut(there = true, back = true): void {
    this.#cut = { there, back };
  }

  heal(): void {
    this.#cut = { there: false, back: false };
    for (const go of [...this.#waiting]) go();
  }

  /** Whether a packet arrives that is sent now. */
  passes(way: "there" | "back"): boolean {
    return !this.#cut[way];
  }

  delayMs(): number {
    return this.#random.between(0.2, this.faults.delayMsMax);
  }

  /** Resolves when something sent now has arrived; a sender keeps sending it again until then, or is dead. */
  async arrives(life: Life, way: "there" | "back"): Promise<void> {
    const sentMs = this.#time.nowMs;
    await life.after(this.delayMs());
    while (!this.passes(way)) {
      const leftMs = sentMs + deadAfterMs - this.#time.nowMs;
      if (leftMs <= 0) throw new ConnectError("the connection is dead", Code.Unavailable);
      await this.#healedOr(life, leftMs);
    }
  }

  /** Resolves after the time, or a second after the line was healed: then it is sent again. */
  #healedOr(life: Life, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        this.#waiting.delete(go);
        cancel();
        life.later(1_000, resolve);
      };
      const cancel = life.later(ms, () => {
        this.#waiting.delete(go);
        resolve();
      });
      this.#waiting.add(go);
    });
  }

  get isAnswerLost(): boolean {
    return this.#random.chance(this.faults.answerLost);
  }

  get isTwice(): boolean {
    return this.#random.chance(this.faults.twice);
  }
}

/** Who answers at the other end right now, and until when. */
export interface Far {
  readonly life: Life;
  readonly transport: Transport;
}

/**
 * Calls over a line to whoever lives at its end. Times out by the caller's clock, never by a real one.
 * @param reach undefined: nobody listens there
 */
export function transportOver(line: Line, caller: Life, reach: () => Far | undefined): Transport {
  const there = async (life: Life): Promise<Far> => {
    await line.arrives(life, "there");
    const far = reach();
    if (!far) throw new ConnectError("connection refused", Code.Unavailable);
    return far;
  };
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      // What was sent arrives, whatever becomes of the sender.
      const call = async () => {
        const far = await there(line.ether);
        const once = () => far.transport.unary(method, signal, undefined, header, input, contextValues);
        if (line.isTwice) void once().catch(() => undefined);
        const answer = await answered(line.ether, far, once());
        await line.arrives(line.ether, "back");
        if (line.isAnswerLost) throw new ConnectError("the connection broke", Code.Unavailable);
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
      return { ...response, message: delayed(line, caller, far, response, signal) } as never; // as above
    },
  };
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
  line: Line,
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
      await limited(caller, undefined, signal, line.arrives(caller, "back"));
      yield next.value;
    }
  } finally {
    // The far end hears of it when it can.
    const tell = () => void iterator.return?.().catch(() => undefined);
    if (line.passes("there")) tell();
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
