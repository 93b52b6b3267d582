import { timestampMs } from "@bufbuild/protobuf/wkt";
import { deadAfterMs, livelinessOf } from "#domain/machine/liveliness.ts";
import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";

interface Listening {
  readonly desired: MachineDesired | undefined;
  /** Wall-clock milliseconds, as the next. */
  readonly nowMs: number;
  readonly listeningSinceMs: number;
}

/** An agent that has not listened for long enough knows nothing new: what was known before it started stays. */
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
