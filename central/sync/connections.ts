import { Refusal } from "#lib/refusal.ts";

/** One life of a partition's agent, and the streams that it has open here. */
interface Life {
  readonly agent: string;
  readonly streams: Set<symbol>;
  /** Another one was refused beside it. */
  hasClone: boolean;
}

/**
 * Which partitions' agents are connected to this central right now. A partition has one agent, and that agent one life: a second one
 * beside it is a clone, and both would do the same work on the same machines.
 */
export class Connections {
  readonly #lives = new Map<string, Life>();

  /**
   * @param agent identity of the agent's present life
   * @returns what to call when it leaves; once is enough, more does no harm
   * @throws Refusal "precondition" while another life of the partition's agent is connected
   */
  enter(partition: string, agent: string): () => void {
    const present = this.#lives.get(partition);
    if (present && present.agent !== agent) {
      present.hasClone = true;
      const text = `partition ${partition}: another agent is connected under this identity (life ${present.agent}): stop one of them`;
      throw new Refusal("precondition", text, { reason: "AGENT_ALREADY_LIVE" });
    }
    const life = present ?? { agent, streams: new Set(), hasClone: false };
    const stream = Symbol(agent);
    life.streams.add(stream);
    this.#lives.set(partition, life);
    return () => {
      life.streams.delete(stream);
      if (life.streams.size === 0 && this.#lives.get(partition) === life) this.#lives.delete(partition);
    };
  }

  isUp(partition: string): boolean {
    return this.#lives.has(partition);
  }

  /** A second agent was refused since the present one connected. */
  hasClone(partition: string): boolean {
    return this.#lives.get(partition)?.hasClone ?? false;
  }
}
