import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { fail, ok, type Result } from "#lib/result.ts";

export const timestampMs = (t: Timestamp): number => Number(t.seconds) * 1000 + Math.floor(t.nanos / 1_000_000);

const unitMs = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;
const secondsWithFractionBelowMs = 100_000;

/** `0.4s`, `42.0s`, `3m05s`, `2h10m`, `4d3h`: two units at most. */
export function durationText(ms: number): string {
  if (ms < secondsWithFractionBelowMs) return `${(Math.max(0, ms) / 1000).toFixed(1)}s`;
  const seconds = Math.floor(ms / 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${two(Math.floor(seconds / 60) % 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${Math.floor(seconds / 3600) % 24}h`;
}

/** How long ago, in one unit, for lists; empty when unknown. */
export function ageText(t: Timestamp | undefined, nowMs: number): string {
  if (t === undefined) return "";
  const seconds = Math.max(0, Math.floor((nowMs - timestampMs(t)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** ` (5m ago)`, to stand behind what happened then; empty when unknown. */
export const agoText = (t: Timestamp | undefined, nowMs: number): string => (t ? ` (${ageText(t, nowMs)} ago)` : "");

/** A time such as `2026-05-01T12:00:00Z` or `2026-05-01`, in milliseconds since 1970. */
export function parseTime(text: string): Result<number> {
  const ms = /^\d{4}-\d\d-\d\d([T ]|$)/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(ms) ? fail(`${text}: a time is wanted, such as 2026-05-01T12:00:00Z`) : ok(ms);
}

/** `90s`, `30m`, `8h`, `1h30m`, `365d`. @returns milliseconds */
export function parseDuration(text: string): Result<number> {
  if (!/^(\d{1,9}(ms|[dhms]))+$/.test(text))
    return fail(`duration ${text}: a number and a unit are wanted: 90s, 30m, 8h, 2d`);
  const parts = [...text.matchAll(/(\d+)(ms|[dhms])/g)];
  return ok(parts.reduce((sum, [, n, unit]) => sum + Number(n) * unitMs[unit as keyof typeof unitMs], 0));
}
