import { Code, ConnectError } from "@connectrpc/connect";
import type { Seeded } from "#lib/seeded.ts";
import { Life } from "./life.ts";
import type { Time } from "./time.ts";

export type Way = "there" | "back";

export interface LineState {
  /** One way, at most. */
  delayMs: number;
  /** Of messages, either way: the connection breaks, which the caller is told. */
  lostShare: number;
  /** Of calls, which are carried out twice. */
  twiceShare: number;
}

/** Silence after which a TCP connection, or whoever holds it, is given up (keep-alive pings of both our sides). */
export const deadAfterMs = 40_000;
/** After the line was healed, what is on its way is sent again. */
const sentAgainMs = 1_000;

/** The network between two places: slow, lossy, or cut in one direction or both. What is cut is not told to anybody. */
export class Line {
  readonly #time: Time;
  readonly #random: Seeded;
  readonly calm: Readonly<LineState>;
  readonly faults: LineState;
  readonly #cuts = new Set<readonly Way[]>();
  /** Connections that were opened until then (virtual milliseconds) are half-open: what is sent on them that way disappears. */
  readonly #forgottenMs: Record<Way, number> = { there: -1, back: -1 };
  readonly #waiting = new Set<() => void>();
  /** What is on its way lives by itself. */
  readonly ether: Life;

  /** @param delayMs one way, at most, while nothing goes wrong */
  constructor(time: Time, random: Seeded, delayMs = 20) {
    this.#time = time;
    this.#random = random;
    this.calm = { delayMs, lostShare: 0, twiceShare: 0 };
    this.faults = { ...this.calm };
    this.ether = new Life("ether", time);
  }

  get nowMs(): number {
    return this.#time.nowMs;
  }

  /** @returns what heals this cut */
  cut(ways: readonly Way[] = ["there", "back"]): () => void {
    const cut = [...ways];
    this.#cuts.add(cut);
    return () => {
      this.#cuts.delete(cut);
      for (const go of [...this.#waiting]) go();
    };
  }

  /**
   * Something on the way, or an end, forgets all connections that there are. Neither side is told: they are dead when pings or deadlines
   * say so, and nothing is sent again on them. New ones are as good as the line.
   */
  halfOpen(ways: readonly Way[]): void {
    for (const way of ways) this.#forgottenMs[way] = this.#time.nowMs;
  }

  /** Whether a packet arrives that is sent now. @param openedMs its connection was */
  passes(way: Way, openedMs: number): boolean {
    if (openedMs <= this.#forgottenMs[way]) return false;
    for (const cut of this.#cuts) if (cut.includes(way)) return false;
    return true;
  }

  /**
   * Resolves when something sent now has arrived; a sender keeps sending it again until then, or is dead.
   * @param openedMs its connection was (virtual milliseconds)
   * @throws when the connection breaks, or is given up
   */
  async arrives(life: Life, way: Way, openedMs: number): Promise<void> {
    const sentMs = this.#time.nowMs;
    await life.after(this.#random.between(0.2, this.faults.delayMs));
    while (!this.passes(way, openedMs)) {
      const leftMs = sentMs + deadAfterMs - this.#time.nowMs;
      if (leftMs <= 0) throw new ConnectError("the connection is dead", Code.Unavailable);
      await this.#healedOr(life, leftMs);
    }
    if (this.#random.chance(this.faults.lostShare)) throw new ConnectError("the connection broke", Code.Unavailable);
  }

  /** Resolves after the time, or soon after the line was healed: then it is sent again. */
  #healedOr(life: Life, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        this.#waiting.delete(go);
        cancel();
        life.later(sentAgainMs, resolve);
      };
      const cancel = life.later(ms, () => {
        this.#waiting.delete(go);
        resolve();
      });
      this.#waiting.add(go);
    });
  }

  get isTwice(): boolean {
    return this.#random.chance(this.faults.twiceShare);
  }
}
