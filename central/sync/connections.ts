import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { sometimes } from "#lib/sometimes.ts";
import { alreadyLive } from "./claim-life.ts";

/** An agent that beats reports every 10 s; one that was silent for so long is gone, whatever its connection says. */
export const silentMs = 30_000;

/** One who follows. */
export interface Arrival {
  /** Identity of the agent's present life. */
  readonly agent: string;
  /** Whether it reports every 10 s even when it has nothing to say. */
  readonly beats: boolean;
  /** Ends the stream. */
  readonly cut: (why: Refusal) => void;
}

/** One life of a partition's agent, and the streams that it has open here. */
interface Life {
  readonly agent: string;
  readonly streams: Set<Arrival>;
  /** Monotonic milliseconds. */
  heardMs: number;
  /** Another one was refused beside it. */
  hasClone: boolean;
}

/**
 * Which partitions' agents are connected to this central right now. A partition has one agent, and that agent one life: a second one
 * beside it is a clone, and both would do the same work on the same machines. Centrals that share a store see each other's by what is
 * claimed there (claim-life.ts); all calls of an agent must reach the same central.
 */
export class Connections {
  readonly #lives = new Map<string, Life>();
  readonly #clock: Clock;
  readonly #log: Log;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * @returns what to call when it leaves; once is enough, more does no harm. It says whether that was the last stream of this life.
   * @throws Refusal "precondition" while another life of the partition's agent is connected and heard of
   */
  enter(partition: string, arrival: Arrival): () => boolean {
    const { agent } = arrival;
    const present = this.#lives.get(partition);
    if (present && present.agent !== agent) {
      this.cutSilent(partition, present.agent);
      this.#refuseBeside(partition, agent);
    }
    const life = this.#lives.get(partition) ?? { agent, streams: new Set(), heardMs: 0, hasClone: false };
    life.heardMs = this.#clock.monotonicMs();
    life.streams.add(arrival);
    this.#lives.set(partition, life);
    return () => {
      if (!life.streams.delete(arrival) || life.streams.size > 0) return false;
      if (this.#lives.get(partition) === life) this.#lives.delete(partition);
      return true;
    };
  }

  /**
   * The agent has reported.
   * @throws Refusal "precondition" while another life of the partition's agent is connected: what both report would mix
   */
  heard(partition: string, agent: string): void {
    this.#refuseBeside(partition, agent);
    const life = this.#lives.get(partition);
    if (life) life.heardMs = this.#clock.monotonicMs();
  }

  /** Ends the streams of an agent that has not been heard of for too long: its connection may be dead on the other side only. */
  cutSilent(partition: string, agent: string): void {
    const life = this.#lives.get(partition);
    if (life?.agent !== agent || this.#clock.monotonicMs() - life.heardMs <= silentMs) return;
    const text = `partition ${partition}: nothing was heard of its agent for ${silentMs / 1000} s`;
    for (const stream of [...life.streams]) {
      if (!stream.beats) continue;
      sometimes(this.#log, "an agent was silent, and central left it");
      stream.cut(new Refusal("unavailable", text, { reason: "AGENT_SILENT" }));
    }
  }

  isUp(partition: string): boolean {
    return this.#lives.has(partition);
  }

  /** A second agent was refused since the present one connected. */
  hasClone(partition: string): boolean {
    return this.#lives.get(partition)?.hasClone ?? false;
  }

  #refuseBeside(partition: string, agent: string): void {
    const present = this.#lives.get(partition);
    if (!present || present.agent === agent) return;
    present.hasClone = true;
    throw alreadyLive(partition, present.agent);
  }
}
