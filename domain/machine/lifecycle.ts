// The provisioning life cycle: which event may follow which, and what an illegal one says.
// Events are never rejected: a machine did what it did. Illegal ones are kept, marked, and may raise a flag.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  MachineProvisioningEventType as Event,
  MachineProvisioningEventState as Flag,
  type MachineProvisioningEvent,
  MachineProvisioningEventSchema,
  type MachineRecentProvisioningEvents,
  MachineRecentProvisioningEventsSchema,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { copyOf } from "#lib/message.ts";

/** Events kept per machine; the oldest give way. */
export const eventsMax = 100;
/** A phone-home this long after the last event is no longer a late one. */
export const lateMs = 5 * 60_000;

/** States in which an event is expected. An empty log (the initial state) expects every event. */
const expectedIn: Readonly<Partial<Record<Event, readonly Event[] | "any">>> = {
  [Event.UNSPECIFIED]: [],
  [Event.ALIVE]: [
    Event.PXE_BOOTING,
    Event.PREPARING,
    Event.REGISTERING,
    Event.WAITING,
    Event.INSTALLING,
    Event.BOOTING_NEW_KERNEL,
  ],
  [Event.CRASHED]: [
    Event.PXE_BOOTING,
    Event.PREPARING,
    Event.REGISTERING,
    Event.WAITING,
    Event.INSTALLING,
    Event.BOOTING_NEW_KERNEL,
  ],
  [Event.PXE_BOOTING]: [Event.PLANNED_REBOOT, Event.MACHINE_RECLAIM, Event.CRASHED, Event.PXE_BOOTING],
  [Event.PREPARING]: [Event.PXE_BOOTING, Event.PLANNED_REBOOT, Event.MACHINE_RECLAIM, Event.CRASHED],
  [Event.REGISTERING]: [Event.PREPARING],
  [Event.WAITING]: [Event.REGISTERING],
  [Event.INSTALLING]: [Event.WAITING, Event.REGISTERING],
  [Event.BOOTING_NEW_KERNEL]: [Event.INSTALLING],
  [Event.PHONED_HOME]: [Event.BOOTING_NEW_KERNEL, Event.MACHINE_RECLAIM],
  [Event.PLANNED_REBOOT]: "any",
  [Event.MACHINE_RECLAIM]: "any",
};

/** States in which a phone-home that was long under way changes nothing. */
const lateHomeIn: readonly Event[] = [
  Event.PLANNED_REBOOT,
  Event.PXE_BOOTING,
  Event.PREPARING,
  Event.REGISTERING,
  Event.WAITING,
];

const clearsCrashLoop: readonly Event[] = [Event.PHONED_HOME, Event.PLANNED_REBOOT, Event.MACHINE_RECLAIM];
const clearsFailedReclaim: readonly Event[] = [Event.PXE_BOOTING, Event.PREPARING];
const raisesCrashLoopWhenUnexpected: readonly Event[] = [Event.PXE_BOOTING, Event.PREPARING];

/** What the machine did last, `UNSPECIFIED` when nothing is known. */
export const stateOf = (log: MachineRecentProvisioningEvents | undefined): Event =>
  log?.events.at(-1)?.event ?? Event.UNSPECIFIED;

/**
 * The log after one more event.
 * @param seenMs wall-clock milliseconds at which the event was seen, not when it is processed
 * @returns a new log, at most `eventsMax` events, oldest first; the input is not changed
 */
export function recordEvent(
  log: MachineRecentProvisioningEvents | undefined,
  event: Event,
  message: string,
  seenMs: number,
): MachineRecentProvisioningEvents {
  const next = log ? copyOf(log) : create(MachineRecentProvisioningEventsSchema, { state: Flag.UNSPECIFIED });
  const state = stateOf(log);
  const lastMs = next.lastEventTime ? timestampMs(next.lastEventTime) : undefined;
  // An event seen earlier but delivered later must not turn the clock of the log back.
  const atMs = Math.max(seenMs, lastMs ?? 0);
  const entry = create(MachineProvisioningEventSchema, { event, message, time: timestampFromMs(atMs) });
  const isLate = lastMs === undefined || seenMs - lastMs <= lateMs;
  if (event === Event.PHONED_HOME) {
    // What a released machine's old system still says is no news of the machine: in a log that it kept fresh, no reclaim would ever fail.
    if (state === Event.MACHINE_RECLAIM) {
      if (isLate || next.state === Flag.FAILED_RECLAIM) return next;
      next.state = Flag.FAILED_RECLAIM;
      return marked(next, entry, state, "keep-out");
    }
    if (lateHomeIn.includes(state) && isLate) return next;
  }
  next.lastEventTime = timestampFromMs(atMs);
  if (event === Event.PHONED_HOME && state === Event.PHONED_HOME) return next;
  const isExpected = state === Event.UNSPECIFIED || isExpectedIn(event, state);
  next.state = flagAfter(next.state, event, isExpected);
  if (event === Event.ALIVE || (event === Event.PXE_BOOTING && state === Event.PXE_BOOTING)) {
    return isExpected ? next : marked(next, entry, state, "keep-out");
  }
  if (!isExpected) return marked(next, entry, state);
  return appended(next, entry);
}

function isExpectedIn(event: Event, state: Event): boolean {
  const states = expectedIn[event] ?? [];
  return states === "any" || states.includes(state);
}

function flagAfter(flag: Flag, event: Event, isExpected: boolean): Flag {
  if (event === Event.CRASHED || (!isExpected && raisesCrashLoopWhenUnexpected.includes(event))) return Flag.CRASHLOOP;
  if (flag === Flag.CRASHLOOP && clearsCrashLoop.includes(event)) return Flag.UNSPECIFIED;
  if (flag === Flag.FAILED_RECLAIM && clearsFailedReclaim.includes(event)) return Flag.UNSPECIFIED;
  return flag;
}

function marked(
  log: MachineRecentProvisioningEvents,
  entry: MachineProvisioningEvent,
  state: Event,
  place: "append" | "keep-out" = "append",
): MachineRecentProvisioningEvents {
  const text = `unexpectedly received in ${eventName(state)}`;
  entry.message = entry.message === "" ? text : `${entry.message} (${text})`;
  log.lastErrorEvent = copyOf(entry);
  return place === "append" ? appended(log, entry) : log;
}

function appended(
  log: MachineRecentProvisioningEvents,
  entry: MachineProvisioningEvent,
): MachineRecentProvisioningEvents {
  if (entry.event === Event.CRASHED) log.lastErrorEvent = copyOf(entry);
  log.events = [...log.events, entry].slice(-eventsMax);
  return log;
}

/** The name that metal-stack's clients show: "PXE Booting". */
export function eventName(event: Event): string {
  return names[event] ?? `Event ${event}`;
}

const names: Readonly<Partial<Record<Event, string>>> = {
  [Event.UNSPECIFIED]: "Initial",
  [Event.ALIVE]: "Alive",
  [Event.CRASHED]: "Crashed",
  [Event.PXE_BOOTING]: "PXE Booting",
  [Event.PLANNED_REBOOT]: "Planned Reboot",
  [Event.PREPARING]: "Preparing",
  [Event.REGISTERING]: "Registering",
  [Event.WAITING]: "Waiting",
  [Event.INSTALLING]: "Installing",
  [Event.BOOTING_NEW_KERNEL]: "Booting New Kernel",
  [Event.PHONED_HOME]: "Phoned Home",
  [Event.MACHINE_RECLAIM]: "Machine Reclaim",
};
