import assert from "node:assert/strict";
import { test } from "node:test";
import {
  MachineProvisioningEventType as Event,
  MachineProvisioningEventState as Flag,
  type MachineRecentProvisioningEvents,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { eventsMax, recordEvent, stateOf } from "./lifecycle.ts";

const minute = 60_000;

function logOf(...events: readonly Event[]): MachineRecentProvisioningEvents {
  let log: MachineRecentProvisioningEvents | undefined;
  events.forEach((event, i) => {
    log = recordEvent(log, event, "", i * 1000);
  });
  return log!;
}

const wholeLife = [
  Event.PXE_BOOTING,
  Event.PREPARING,
  Event.REGISTERING,
  Event.WAITING,
  Event.INSTALLING,
  Event.BOOTING_NEW_KERNEL,
  Event.PHONED_HOME,
];

test("a whole life runs from PXE to phoned home without a mark", () => {
  const log = logOf(...wholeLife);
  assert.deepEqual(
    log.events.map((e) => e.event),
    wholeLife,
  );
  assert.equal(log.lastErrorEvent, undefined);
  assert.equal(log.state, Flag.UNSPECIFIED);
});

test("a machine that PXE-boots where it should run is marked as crash-looping, and phoning home clears it", () => {
  const log = logOf(...wholeLife, Event.PXE_BOOTING);
  assert.equal(log.state, Flag.CRASHLOOP);
  assert.match(log.lastErrorEvent!.message, /unexpectedly received in Phoned Home/);
  const home = [
    Event.PREPARING,
    Event.REGISTERING,
    Event.WAITING,
    Event.INSTALLING,
    Event.BOOTING_NEW_KERNEL,
    Event.PHONED_HOME,
  ].reduce((l, e) => recordEvent(l, e, "", 20_000), log);
  assert.equal(home.state, Flag.UNSPECIFIED);
});

test("a crash raises the flag and is the last error, with its reason", () => {
  const log = recordEvent(logOf(...wholeLife.slice(0, 5)), Event.CRASHED, "unpack: sha256 differs", 9000);
  assert.equal(log.state, Flag.CRASHLOOP);
  assert.equal(log.lastErrorEvent!.message, "unpack: sha256 differs");
});

test("alive refreshes the time and is never kept", () => {
  const log = recordEvent(logOf(...wholeLife.slice(0, 4)), Event.ALIVE, "", minute);
  assert.equal(log.events.length, 4);
  assert.equal(Number(log.lastEventTime!.seconds), 60);
});

test("repeated PXE boots are one entry", () => {
  assert.equal(logOf(Event.PXE_BOOTING, Event.PXE_BOOTING, Event.PXE_BOOTING).events.length, 1);
});

test("a phone-home long after the release says that the reclaim failed; the next boot into the installer clears it", () => {
  const released = logOf(...wholeLife, Event.MACHINE_RECLAIM);
  const early = recordEvent(released, Event.PHONED_HOME, "", minute);
  assert.equal(early.state, Flag.UNSPECIFIED);
  assert.equal(stateOf(early), Event.MACHINE_RECLAIM);
  const minutely = [2, 3, 4, 5, 6].reduce((l, n) => recordEvent(l, Event.PHONED_HOME, "", n * minute), early);
  assert.equal(minutely.state, Flag.FAILED_RECLAIM, "what phones home in between does not put it off");
  const late = recordEvent(released, Event.PHONED_HOME, "", 10 * minute);
  assert.equal(late.state, Flag.FAILED_RECLAIM);
  assert.equal(recordEvent(late, Event.PXE_BOOTING, "", 11 * minute).state, Flag.UNSPECIFIED);
});

test("a repeated phone-home changes nothing but the time", () => {
  const log = recordEvent(logOf(...wholeLife), Event.PHONED_HOME, "", 60 * minute);
  assert.equal(log.events.length, wholeLife.length);
  assert.equal(log.lastErrorEvent, undefined);
});

test("the log keeps the last hundred events, in order of time, even when one was seen earlier", () => {
  let log: MachineRecentProvisioningEvents | undefined;
  for (let i = 0; i < 250; i++)
    log = recordEvent(log, i % 2 ? Event.PLANNED_REBOOT : Event.MACHINE_RECLAIM, "", i === 200 ? 5 : i * 10);
  assert.equal(log!.events.length, eventsMax);
  const times = log!.events.map((e) => Number(e.time!.seconds) * 1000 + e.time!.nanos / 1e6);
  assert.deepEqual(
    times,
    [...times].sort((a, b) => a - b),
  );
});
