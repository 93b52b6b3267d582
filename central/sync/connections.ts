/** Which partitions' agents are connected to this central right now. */
export class Connections {
  readonly #agents = new Map<string, Map<symbol, string>>();
  readonly #changed: (partition: string) => void;

  constructor(changed: (partition: string) => void = () => {}) {
    this.#changed = changed;
  }

  /** @returns what to call when it leaves */
  enter(partition: string, agent: string): () => void {
    const stream = Symbol(agent);
    const streams = this.#agents.get(partition) ?? new Map<symbol, string>();
    this.#agents.set(partition, streams.set(stream, agent));
    this.#changed(partition);
    return () => {
      streams.delete(stream);
      this.#changed(partition);
    };
  }

  isUp(partition: string): boolean {
    return (this.#agents.get(partition)?.size ?? 0) > 0;
  }
}
