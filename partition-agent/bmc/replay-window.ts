/**
 * Which sequence numbers of the other side have been seen: a packet is taken once, and may come late by up to 31.
 * @source IPMI 2.0 §6.12.12
 */
export interface ReplayWindow {
  /** Highest seen, 0 before the first. */
  readonly highest: number;
  /** Bit i: `highest - i` has been seen. */
  readonly seen: number;
}

export const emptyWindow: ReplayWindow = { highest: 0, seen: 0 };

/** @returns the window after `sequence`, or undefined when it is 0, was seen before, or is too old to know */
export function accepted(window: ReplayWindow, sequence: number): ReplayWindow | undefined {
  if (sequence === 0) return undefined;
  const ahead = sequence - window.highest;
  if (ahead > 0) return { highest: sequence, seen: ahead > 31 ? 1 : ((window.seen << ahead) | 1) >>> 0 };
  if (ahead <= -32 || (window.seen >>> -ahead) & 1) return undefined;
  return { ...window, seen: (window.seen | (1 << -ahead)) >>> 0 };
}
