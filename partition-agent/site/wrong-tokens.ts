import type { Clock } from "#lib/clock.ts";
import { Refusal } from "#lib/refusal.ts";

/** Wrong tokens from one address within `windowMs`; then nothing from there is looked at until the window is over. */
const wrongMax = 5;
const windowMs = 60_000;
/** Addresses that are remembered; the oldest are forgotten first. */
const addressesMax = 1024;

interface Window {
  readonly sinceMs: number;
  count: number;
}

/** Who has shown wrong tokens lately, by address. */
export class WrongTokens {
  readonly #clock: Clock;
  readonly #windows = new Map<string, Window>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws Refusal "exhausted" for an address that has guessed too often, whatever it shows now */
  check(address: string): void {
    const window = this.#window(address);
    if (!window || window.count < wrongMax) return;
    const retryAfterMs = window.sinceMs + windowMs - this.#clock.monotonicMs();
    const waitSeconds = Math.ceil(retryAfterMs / 1000);
    throw new Refusal(
      "exhausted",
      `${wrongMax} wrong tokens came from ${address} within ${windowMs / 1000} s: try again in ${waitSeconds} s`,
      { reason: "TOO_MANY_WRONG_TOKENS", retryAfterMs },
    );
  }

  note(address: string): void {
    const window = this.#window(address);
    if (window) {
      window.count++;
      return;
    }
    this.#windows.set(address, { sinceMs: this.#clock.monotonicMs(), count: 1 });
    for (const oldest of this.#windows.keys()) {
      if (this.#windows.size <= addressesMax) return;
      this.#windows.delete(oldest);
    }
  }

  #window(address: string): Window | undefined {
    const window = this.#windows.get(address);
    if (!window || this.#clock.monotonicMs() - window.sinceMs < windowMs) return window;
    this.#windows.delete(address);
    return undefined;
  }
}
