import { MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";

/** Without a sign of life for this long a machine is not alive any more. */
export const deadAfterMs = 5 * 60_000;

/**
 * @param silentMs milliseconds since the last sign of life, undefined when there never was one
 * @returns an allocated machine is UNKNOWN rather than DEAD: its owner may have stopped the phone-home
 */
export function livelinessOf(silentMs: number | undefined, allocation: "allocated" | "free"): MachineLiveliness {
  if (silentMs !== undefined && silentMs <= deadAfterMs) return MachineLiveliness.ALIVE;
  return allocation === "allocated" ? MachineLiveliness.UNKNOWN : MachineLiveliness.DEAD;
}
