import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineProvisioningEventType as Event, MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import { recordEvent } from "./lifecycle.ts";

/**
 * Enters what a machine said of itself: the event, the sign of life, and what follows from it.
 * @param machine a draft, changed in place
 * @param nowMs wall-clock milliseconds at which it was heard
 */
export function hear(machine: MachineObserved, event: Event, message: string, nowMs: number): void {
  machine.events = recordEvent(machine.events, event, message, nowMs);
  hearSign(machine, nowMs);
  if (event === Event.CRASHED) machine.lastFailure = message === "" ? "the installer crashed without a word" : message;
  if (event === Event.WAITING || event === Event.PHONED_HOME) machine.lastFailure = "";
}

/** A sign of life that is no event. */
export function hearSign(machine: MachineObserved, nowMs: number): void {
  machine.heardAt = timestampFromMs(nowMs);
  machine.liveliness = MachineLiveliness.ALIVE;
  machine.powerAttempts = 0;
}
