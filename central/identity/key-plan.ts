// Which of the stored keys signs, when the next is made, and which are over. Every central comes to the same answers.
import { dayMs, hourMs } from "#lib/durations.ts";

/** Longest life of a token, as the contract's rules bound it. */
export const tokenLifeMaxMs = 365 * dayMs;

/** How long one key signs. */
export const signingMs = 90 * dayMs;

/** A key is stored this long before it signs: more than centrals' clocks and caches may differ by. */
export const noticeMs = hourMs;

/** Kept beyond the end of the last token, because the clock that ends tokens is not the one that signed them. */
const graceMs = dayMs;

export interface KeyTimes {
  /** A whole number in decimal; later keys have higher ones. */
  readonly id: string;
  /** Wall time. */
  readonly signsFromMs: number;
}

export interface KeyPlan {
  /** Undefined: there is no key at all. */
  readonly signing: string | undefined;
  /** To be made now. */
  readonly next: KeyTimes | undefined;
  /** No token that they signed can be good any more. */
  readonly over: readonly string[];
}

export function keyPlan(keys: readonly KeyTimes[], nowMs: number): KeyPlan {
  const sorted = [...keys].sort((a, b) => Number(a.id) - Number(b.id));
  const newest = sorted.at(-1);
  if (newest === undefined) return { signing: undefined, next: { id: "1", signsFromMs: nowMs }, over: [] };
  // A clock that was set back may know no key that signs by now: then the first does.
  const signing = sorted.findLast((key) => key.signsFromMs <= nowMs) ?? (sorted[0] as KeyTimes);
  const isDue = nowMs >= newest.signsFromMs + signingMs - noticeMs;
  return {
    signing: signing.id,
    next: isDue ? { id: `${Number(newest.id) + 1}`, signsFromMs: nowMs + noticeMs } : undefined,
    over: sorted
      .filter((_, i) => (sorted[i + 1]?.signsFromMs ?? Number.POSITIVE_INFINITY) + tokenLifeMaxMs + graceMs <= nowMs)
      .map((key) => key.id),
  };
}
