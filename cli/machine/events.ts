import {
  type Machine,
  type MachineProvisioningEvent,
  MachineProvisioningEventState,
  MachineProvisioningEventStateSchema,
  MachineProvisioningEventTypeSchema,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { enumText } from "../view/enum-text.ts";
import { timestampMs } from "../view/time.ts";

export const eventMs = (event: MachineProvisioningEvent): number => (event.time ? timestampMs(event.time) : 0);

/** Oldest first, whatever order the server keeps; of two in the same instant the server's later one comes later. */
export function eventsOf(machine: Machine): readonly MachineProvisioningEvent[] {
  const kept = machine.recentProvisioningEvents?.events ?? [];
  const isNewestFirst = kept.length > 1 && eventMs(kept[0]!) > eventMs(kept.at(-1)!);
  return (isNewestFirst ? [...kept].reverse() : [...kept]).sort((a, b) => eventMs(a) - eventMs(b));
}

export const newestEvent = (machine: Machine): MachineProvisioningEvent | undefined => eventsOf(machine).at(-1);

export const eventText = (event: MachineProvisioningEvent): string =>
  enumText(MachineProvisioningEventTypeSchema, event.event);

/** Such as `Crashed (crashloop)`. */
export function lastEventText(machine: Machine): string {
  const newest = newestEvent(machine);
  const state = machine.recentProvisioningEvents?.state ?? MachineProvisioningEventState.UNSPECIFIED;
  const trouble = enumText(MachineProvisioningEventStateSchema, state);
  return `${newest ? eventText(newest) : ""}${trouble ? ` (${trouble})` : ""}`;
}
