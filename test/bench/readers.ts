// The child processes of a benchmark, and what they have seen.
import { type ChildProcess, fork } from "node:child_process";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { AgentOrders, Growth, Seen, Told, WatcherOrders } from "./protocol.ts";

/**
 * Of each process: Node has four for what waits for a disk, and where each reader has a process of its own, none waits for the disks of
 * the others.
 */
const threads = "16";

interface Child {
  readonly process: ChildProcess;
  told: Told | undefined;
}

/** Many readers, over as many processes as there are cores. */
export class Readers {
  readonly #children: Child[] = [];
  readonly #seen: Seen[] = [];
  readonly #count: number;

  /** @param main file of the child, beside this one */
  constructor(main: string, orders: AgentOrders | WatcherOrders, processes: number) {
    this.#count = orders.count;
    const each = Math.ceil(orders.count / processes);
    for (let first = 0; first < orders.count; first += each) {
      const own = { ...orders, first: orders.first + first, count: Math.min(each, orders.count - first) };
      const child = fork(path.join(import.meta.dirname, main), [JSON.stringify(own)], {
        execArgv: ["--import", "tsx"],
        env: { ...process.env, UV_THREADPOOL_SIZE: threads },
      });
      const entry: Child = { process: child, told: undefined };
      child.on("message", (told: Told) => {
        entry.told = told;
        this.#seen.push(...told.seen);
      });
      this.#children.push(entry);
    }
  }

  get following(): number {
    return this.#children.reduce((sum, { told }) => sum + (told?.following ?? 0), 0);
  }

  /** Microseconds of computing, of all processes together. */
  get computed(): number {
    return this.#children.reduce((sum, { told }) => sum + (told?.computed ?? 0), 0);
  }

  /** Of all processes together. */
  get growth(): Growth {
    const sum = (of: keyof Growth) => this.#children.reduce((all, { told }) => all + (told?.growth[of] ?? 0), 0);
    return { resident: sum("resident"), anonymous: sum("anonymous") };
  }

  /** @throws when it takes longer */
  async allFollow(limitMs: number): Promise<void> {
    await until(
      `${this.#count} readers follow`,
      limitMs,
      () => this.following === this.#count,
      () => `${this.following} do`,
    );
  }

  /** What was seen of an item, taken away; waits until so many have seen it. */
  async sightings(item: string, count: number, limitMs: number): Promise<readonly Seen[]> {
    const found: Seen[] = [];
    const collect = () => {
      for (let i = this.#seen.length - 1; i >= 0; i--)
        if (this.#seen[i]!.item === item) found.push(...this.#seen.splice(i, 1));
      return found.length >= count;
    };
    await until(`${count} readers see ${item}`, limitMs, collect, () => `${found.length} have`);
    return found;
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#children.map(async ({ process: child }) => {
        const gone = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGKILL");
        await gone;
      }),
    );
  }
}

async function until(what: string, limitMs: number, isSo: () => boolean, state: () => string): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`not within ${limitMs} ms: ${what}; ${state()}`);
    await delay(5);
  }
}
