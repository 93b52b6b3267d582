/**
 * Machines that this central is about to give away: who asks at the same time is given another one, instead of losing the race for it.
 * Only a preference: what counts is the commit.
 */
export class Picks {
  readonly #byAllocation = new Map<string, string>();

  isPicked(machine: string): boolean {
    for (const picked of this.#byAllocation.values()) if (picked === machine) return true;
    return false;
  }

  /** Instead of what it had picked before. */
  pick(allocation: string, machine: string): void {
    this.#byAllocation.set(allocation, machine);
  }

  /** It has the machine, or none. */
  done(allocation: string): void {
    this.#byAllocation.delete(allocation);
  }
}
