import { setMaxListeners } from "node:events";
import type { ConnectError } from "@connectrpc/connect";
import { Lifetime } from "#lib/lifetime.ts";
import type { Log } from "#lib/log.ts";
import type { Seeded } from "#lib/seeded.ts";
import { Life } from "./life.ts";
import type { Time } from "./time.ts";
import type { Far } from "./transport-over.ts";

export interface NodePorts {
  readonly time: Time;
  readonly random: Seeded;
  readonly log: (life: Life) => Log;
  /** Told of every error that somebody is answered. */
  readonly refused: (error: ConnectError) => void;
}

/** One daemon, of which one life is up at a time, to be killed and started at will. */
export abstract class ProcessNode<Up extends Far> {
  protected readonly ports: NodePorts;
  readonly #name: string;
  #far: Up | undefined;
  #life: Life | undefined;
  #lives = 0;
  #stoodStillUntilMs = 0;
  #answersSinceMs = 0;

  constructor(name: string, ports: NodePorts) {
    this.#name = name;
    this.ports = ports;
  }

  /** Undefined while it is dead or starting. */
  get far(): Up | undefined {
    return this.#far;
  }

  get isDead(): boolean {
    return this.#life === undefined;
  }

  abstract start(): Promise<void>;

  /** Starts it unless somebody has. */
  revive(): Promise<void> | void {
    return this.isDead ? this.start() : undefined;
  }

  kill(): void {
    this.#far = undefined;
    this.#life?.end();
    this.#life = undefined;
  }

  /** It dies in the middle of what it does next. @param waits for the world before that, once something has happened. @returns what spares it */
  killAtWork(waits: number): () => void {
    const life = this.#life;
    if (!life) return () => {};
    return life.doom(waits, () => {
      this.ports.log(life).info("killed", { waits });
      this.kill();
    });
  }

  pause(ms: number): void {
    this.#life?.pause(ms);
    this.#stoodStillUntilMs = Math.max(this.#stoodStillUntilMs, this.ports.time.nowMs + ms);
  }

  /** Since when it runs without a pause; in the future while it stands still. */
  get runsSinceMs(): number {
    return this.#stoodStillUntilMs;
  }

  /** Since when it answers and runs without a pause; undefined while it is dead or starting. */
  get awakeSinceMs(): number | undefined {
    return this.#far && Math.max(this.#answersSinceMs, this.#stoodStillUntilMs);
  }

  /** One more life begins. @param skewMs how far its wall clock is off right now */
  protected begin(skewMs?: () => number): { readonly life: Life; readonly lifetime: Lifetime } {
    const { time, log } = this.ports;
    const life = new Life(`${this.#name}#${++this.#lives}`, time, skewMs);
    this.#life = life;
    const lifetime = new Lifetime(log(life));
    setMaxListeners(0, lifetime.signal);
    life.onEnd(() => void lifetime.stop());
    return { life, lifetime };
  }

  /** From now on it answers. */
  protected answers(far: Up): void {
    this.#far = far;
    this.#answersSinceMs = this.ports.time.nowMs;
  }
}
