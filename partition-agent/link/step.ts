// Where the link to central stands, and what moves it. Pure: the link itself dials, reads and waits.

export type Phase = "idle" | "connecting" | "loading" | "following" | "backing off";

export interface LinkState {
  readonly phase: Phase;
  /** Wall-clock milliseconds. */
  readonly sinceMs: number;
  /** Why it is not up, or why it broke last; undefined once it is up. */
  readonly lastError: string | undefined;
  /** Times in a row that it broke before it had held for a while. */
  readonly failures: number;
  /** How long it is waited from this step on before the next attempt; 0 in all other phases. */
  readonly waitMs: number;
  /** An answer to a report has cut a wait short since it was up last: another one does not, however often central answers. */
  readonly wasWoken: boolean;
}

export type LinkEvent =
  | { readonly kind: "dialled" }
  /** Central spoke; `current` when it said that it has nothing newer. */
  | { readonly kind: "heard"; readonly what: "a part" | "current" }
  | {
      readonly kind: "broke";
      readonly why: string;
      /** Central refused, and will refuse again until somebody does something. */
      readonly isRefusal: boolean;
      /** Since it was dialled. */
      readonly heldMs: number;
      /** 0 up to, but not including, 1: spreads those that broke together. */
      readonly chance: number;
    }
  /** Central took a report: it is back, though nobody may have dialled since. */
  | {
      readonly kind: "answered";
      /** As above: those that are answered together need not dial together. */
      readonly chance: number;
    }
  | { readonly kind: "stopped" };

const retryFirstMs = 500;
const retryMaxMs = 10_000;
/** Nobody mends a refusal within seconds, and a thousand agents that ask all the time are in the way of those who do. */
const refusedMs = 30_000;

export const idle = (nowMs: number): LinkState => ({
  phase: "idle",
  sinceMs: nowMs,
  lastError: undefined,
  failures: 0,
  waitMs: 0,
  wasWoken: false,
});

/** @param nowMs wall clock */
export function stepLink(state: LinkState, event: LinkEvent, nowMs: number): LinkState {
  switch (event.kind) {
    case "dialled":
      return enter(state, "connecting", nowMs);
    case "heard":
      if (event.what === "current")
        return { ...enter(state, "following", nowMs), lastError: undefined, wasWoken: false };
      return state.phase === "following" ? state : enter(state, "loading", nowMs);
    case "broke": {
      const failures = event.heldMs > retryMaxMs ? 1 : state.failures + 1;
      const waitMs = event.isRefusal ? spread(refusedMs, event.chance) : backOffMs(failures, event.chance);
      return { ...enter(state, "backing off", nowMs), lastError: event.why, failures, waitMs };
    }
    case "answered": {
      if (state.phase !== "backing off" || state.wasWoken) return state;
      const leftMs = Math.max(0, state.sinceMs + state.waitMs - nowMs);
      return { ...state, failures: 0, waitMs: Math.min(leftMs, backOffMs(1, event.chance)), wasWoken: true };
    }
    case "stopped":
      return idle(nowMs);
  }
}

/** Twice as long with each failure in a row, up to 10 s; never less than half of that. */
export const backOffMs = (failures: number, chance: number): number =>
  spread(Math.min(retryMaxMs, retryFirstMs * 2 ** Math.min(Math.max(0, failures - 1), 8)), chance);

const spread = (ceilingMs: number, chance: number): number => (ceilingMs / 2) * (1 + chance);

const enter = (state: LinkState, phase: Phase, nowMs: number): LinkState => ({
  ...state,
  phase,
  sinceMs: state.phase === phase ? state.sinceMs : nowMs,
  waitMs: 0,
});
