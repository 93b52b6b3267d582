import type { Clock } from "#lib/clock.ts";
import type { SwitchDriver, SwitchState } from "./switch.ts";

/** A look at the switch serves everybody who looks within this time: reading it costs programs to be started. */
const keepMs = 5_000;

/** What the switch showed a moment ago. */
export class RecentState {
  readonly #driver: SwitchDriver;
  readonly #clock: Clock;
  #last: { readonly atMs: number; readonly state: Promise<SwitchState> } | undefined;

  constructor(driver: SwitchDriver, clock: Clock) {
    this.#driver = driver;
    this.#clock = clock;
  }

  /** At most `keepMs` old. A failure is told to all who waited for it, and to nobody after them. */
  read(signal: AbortSignal): Promise<SwitchState> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#last && nowMs - this.#last.atMs < keepMs) return this.#last.state;
    const state = this.#driver.read(signal);
    const taken = { atMs: nowMs, state };
    this.#last = taken;
    state.catch(() => {
      if (this.#last === taken) this.#last = undefined;
    });
    return state;
  }

  /** The switch was changed: whoever looks next looks anew. */
  forget(): void {
    this.#last = undefined;
  }
}
