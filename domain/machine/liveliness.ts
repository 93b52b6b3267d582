import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";

/** Without a sign of life for this long a machine is not alive any more. */
const deadAfterMs = 5 * 60_000;

interface Listening {
  readonly desired: MachineDesired | undefined;
  /** Wall-clock milliseconds, as the next. */
  readonly nowMs: number;
  readonly listeningSinceMs: number;
}

/** Who has not listened for long enough knows nothing new: what was known before stays. */
export function livelinessNow(
  machine: MachineObserved,
  { desired, nowMs, listeningSinceMs }: Listening,
): MachineLiveliness {
  const silentMs = machine.heardAt && nowMs - timestampMs(machine.heardAt);
  const isHeard = silentMs !== undefined && silentMs <= deadAfterMs;
  if (!isHeard && nowMs - listeningSinceMs <= deadAfterMs) return machine.liveliness;
  return livelinessOf(silentMs, desired?.allocation ? "allocated" : "free");
}

/** Milliseconds until `livelinessNow` says something else if nothing is heard; infinite when it would not. */
export function livelinessLeftMs(machine: MachineObserved, { nowMs, listeningSinceMs }: Listening): number {
  const heardMs = machine.heardAt ? timestampMs(machine.heardAt) : Number.NEGATIVE_INFINITY;
  const leftMs = Math.max(heardMs, listeningSinceMs) + deadAfterMs + 1 - nowMs;
  return leftMs > 0 ? leftMs : Number.POSITIVE_INFINITY;
}

/**
 * @param silentMs milliseconds since the last sign of life, undefined when there never was one
 * @returns an allocated machine is UNKNOWN rather than DEAD: its owner may have stopped the phone-home
 */
function livelinessOf(silentMs: number | undefined, allocation: "allocated" | "free"): MachineLiveliness {
  if (silentMs !== undefined && silentMs <= deadAfterMs) return MachineLiveliness.ALIVE;
  return allocation === "allocated" ? MachineLiveliness.UNKNOWN : MachineLiveliness.DEAD;
}
