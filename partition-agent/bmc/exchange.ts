import type { Clock } from "#lib/clock.ts";
import type { Random } from "#lib/random.ts";
import type { BmcListener, BmcSocket } from "./transport.ts";

export interface Retransmission {
  /** Wait for the first answer; each further wait is twice as long. */
  readonly firstMs: number;
  readonly longestMs: number;
}

export interface Question<T> {
  /** The datagram of try number 0, 1, … */
  readonly datagram: (attempt: number) => Uint8Array;
  /** What an arrived datagram answers; undefined when it is none of ours. */
  readonly answer: (datagram: Uint8Array) => T | undefined;
  /** On Clock.monotonicMs. */
  readonly deadlineMs: number;
  /** Least wait between two tries; absent: as the exchange's retransmission says. */
  readonly patienceMs?: number;
}

/** Nobody answered. */
export class Silence extends Error {
  readonly tries: number;
  readonly waitedMs: number;

  constructor(tries: number, waitedMs: number) {
    super(`no answer to ${tries} ${tries === 1 ? "packet" : "packets"} in ${Math.round(waitedMs)} ms`);
    this.tries = tries;
    this.waitedMs = waitedMs;
  }
}

/** Asks over an unreliable wire: sends, waits, sends again. One question at a time. */
export class Exchange implements BmcListener {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #retransmission: Retransmission;
  #waiting: { take(datagram: Uint8Array): void; fail(error: Error): void } | undefined;
  /** Set by whoever opened the transport with this as its listener. */
  socket: BmcSocket | undefined;

  constructor(clock: Clock, random: Random, retransmission: Retransmission) {
    this.#clock = clock;
    this.#random = random;
    this.#retransmission = retransmission;
  }

  /** What nobody waits for is dropped: late duplicates are normal. */
  onDatagram(datagram: Uint8Array): void {
    this.#waiting?.take(datagram);
  }

  onError(error: Error): void {
    this.#waiting?.fail(error);
  }

  /** @throws Silence at the deadline, the network's own error, or the signal's reason */
  async ask<T>(question: Question<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const answered = new Promise<T>((resolve, reject) => {
      const take = (datagram: Uint8Array): void => {
        const answer = question.answer(datagram);
        if (answer !== undefined) resolve(answer);
      };
      this.#waiting = { take, fail: reject };
    });
    // Handled where it is raced; this keeps a failure between two waits from counting as nobody's.
    answered.catch(() => undefined);
    try {
      return await this.#repeat(question, answered, signal);
    } finally {
      this.#waiting = undefined;
    }
  }

  async #repeat<T>(question: Question<T>, answered: Promise<T>, signal?: AbortSignal): Promise<T> {
    const started = this.#clock.monotonicMs();
    for (let attempt = 0; ; attempt++) {
      const left = question.deadlineMs - this.#clock.monotonicMs();
      if (left <= 0) throw new Silence(attempt, this.#clock.monotonicMs() - started);
      this.socket?.send(question.datagram(attempt));
      const got = await this.#within(
        Math.min(left, Math.max(question.patienceMs ?? 0, this.#pauseMs(attempt))),
        answered,
        signal,
      );
      if (got !== undefined) return got.answer;
    }
  }

  #pauseMs(attempt: number): number {
    const { firstMs, longestMs } = this.#retransmission;
    const pause = Math.min(longestMs, firstMs * 2 ** attempt);
    return pause + this.#random.below(Math.max(1, Math.floor(pause / 5)));
  }

  async #within<T>(
    ms: number,
    answered: Promise<T>,
    signal?: AbortSignal,
  ): Promise<{ readonly answer: T } | undefined> {
    const stop = new AbortController();
    const abort = (): void => stop.abort(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await Promise.race([
        answered.then((answer) => ({ answer })),
        this.#clock.sleep(ms, stop.signal).then(() => undefined),
      ]);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
      stop.abort();
    }
  }
}
