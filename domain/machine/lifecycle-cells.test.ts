// Every event in every state. What becomes of it, in three marks: `+` it is kept in the log, `-` it is not; `!` it is noted as the latest
// error; `L` the machine is taken for crash-looping afterwards, `F` for one that was not reclaimed.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  MachineProvisioningEventType as Event,
  MachineProvisioningEventState as Flag,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { eventName, recordEvent } from "./lifecycle.ts";

const states = [
  Event.UNSPECIFIED,
  Event.PXE_BOOTING,
  Event.PREPARING,
  Event.REGISTERING,
  Event.WAITING,
  Event.INSTALLING,
  Event.BOOTING_NEW_KERNEL,
  Event.PHONED_HOME,
  Event.PLANNED_REBOOT,
  Event.MACHINE_RECLAIM,
  Event.CRASHED,
];

const minute = 60_000;

/** A crash is a last error by itself, and a machine that has crashed is one that loops until it phones home or is told to reboot. */
const cells: readonly (readonly [Event, afterMs: number, string])[] = [
  //                                 Initial PXE  Prep Reg  Wait Inst Boot Home Plan Recl Crashed
  [Event.ALIVE, minute, "             -    -    -    -    -    -    -    -!   -!   -!   -!L"],
  [Event.CRASHED, minute, "           +!L  +!L  +!L  +!L  +!L  +!L  +!L  +!L  +!L  +!L  +!L"],
  [Event.PXE_BOOTING, minute, "       +    -    +!L  +!L  +!L  +!L  +!L  +!L  +    +    +!L"],
  [Event.PREPARING, minute, "         +    +    +!L  +!L  +!L  +!L  +!L  +!L  +    +    +!L"],
  [Event.REGISTERING, minute, "       +    +!   +    +!   +!   +!   +!   +!   +!   +!   +!L"],
  [Event.WAITING, minute, "           +    +!   +!   +    +!   +!   +!   +!   +!   +!   +!L"],
  [Event.INSTALLING, minute, "        +    +!   +!   +    +    +!   +!   +!   +!   +!   +!L"],
  [Event.BOOTING_NEW_KERNEL, minute, "+    +!   +!   +!   +!   +    +!   +!   +!   +!   +!L"],
  [Event.PHONED_HOME, minute, "       +    -    -    -    -    +!   +    -    -    -    +!"],
  [Event.PHONED_HOME, 6 * minute, "   +    +!   +!   +!   +!   +!   +    -    +!   -!F  +!"],
  [Event.PLANNED_REBOOT, minute, "    +    +    +    +    +    +    +    +    +    +    +!"],
  [Event.MACHINE_RECLAIM, minute, "   +    +    +    +    +    +    +    +    +    +    +!"],
];

const flags = new Map<Flag, string>([
  [Flag.CRASHLOOP, "L"],
  [Flag.FAILED_RECLAIM, "F"],
]);

/** What becomes of the event, in the marks of the table. */
function outcome(state: Event, event: Event, afterMs: number): string {
  const before = state === Event.UNSPECIFIED ? undefined : recordEvent(undefined, state, "", 0);
  const log = recordEvent(before, event, "", afterMs);
  const isKept = log.events.length > (before?.events.length ?? 0);
  // The crash that made the state stays the latest error until another one comes.
  return `${isKept ? "+" : "-"}${log.lastErrorEvent ? "!" : ""}${flags.get(log.state) ?? ""}`;
}

for (const [event, afterMs, row] of cells) {
  const expected = row.trim().split(/\s+/);
  for (const [i, state] of states.entries()) {
    const late = afterMs > minute ? " long after it" : "";
    test(`${eventName(event)} in ${eventName(state)}${late}: ${expected[i]}`, () => {
      assert.equal(outcome(state, event, afterMs), expected[i]);
    });
  }
}

test("the table has all events and all states", () => {
  const events = Object.values(Event).filter((e) => typeof e === "number" && e !== Event.UNSPECIFIED);
  assert.deepEqual([...new Set(cells.map(([event]) => event))].sort(), events.sort());
  assert.ok(cells.every(([, , row]) => row.trim().split(/\s+/).length === states.length));
  assert.deepEqual([...states].sort(), [Event.UNSPECIFIED, ...events.filter((e) => e !== Event.ALIVE)].sort());
});
