/** Which partitions' agents are connected to this central right now. */
export class Connections {
  readonly #agents = new Map<string, Set<symbol>>();

  /** @returns what to call when it leaves; once is enough, more does no harm */
  enter(partition: string, agent: string): () => void {
    const stream = Symbol(agent);
    const streams = this.#agents.get(partition) ?? new Set();
    this.#agents.set(partition, streams.add(stream));
    return () => {
      streams.delete(stream);
      if (streams.size === 0 && this.#agents.get(partition) === streams) this.#agents.delete(partition);
    };
  }

  isUp(partition: string): boolean {
    return this.#agents.has(partition);
  }
}
