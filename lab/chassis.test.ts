import assert from "node:assert/strict";
import { test } from "node:test";
import { type Chassis, chassisOff, command } from "./chassis.ts";

const on: Chassis = { ...chassisOff, isOn: true };

const table: readonly [string, Chassis, string, Partial<Chassis>, readonly string[]][] = [
  ["power on starts the server", chassisOff, "set power 1", { isOn: true }, ["start default"]],
  ["power on of a running server does nothing", on, "set power 1", {}, []],
  ["power off stops it", on, "set power 0", { isOn: false }, ["stop"]],
  ["power off of a stopped server does nothing", chassisOff, "set power 0", {}, []],
  ["reset stops and starts it", on, "set reset 1", {}, ["stop", "start default"]],
  ["reset of a stopped server leaves it off", chassisOff, "set reset 1", {}, []],
  ["soft shutdown stops it", on, "set shutdown 1", { isOn: false }, ["stop"]],
  ["a boot device is kept for the next start", on, "set boot pxe", { nextBoot: "pxe" }, []],
  [
    "a start uses the boot device once",
    { ...chassisOff, nextBoot: "pxe" },
    "set power 1",
    { isOn: true, nextBoot: "default" },
    ["start pxe"],
  ],
  ["identify lights the lamp for seconds", on, "set identify 15 0", { identify: true }, []],
  ["identify force lights it for good", on, "set identify 0 1", { identify: true }, []],
  ["identify 0 puts it out", { ...on, identify: true }, "set identify 0 0", { identify: false }, []],
];

for (const [name, before, call, change, effects] of table) {
  test(name, () => {
    const answer = command(before, ["0x20", ...call.split(" ")]);
    assert.deepEqual(answer.chassis, { ...before, ...change });
    assert.deepEqual(
      answer.effects.map((e) => (e.kind === "start" ? `start ${e.boot}` : e.kind)),
      effects,
    );
    assert.equal(answer.error, undefined);
  });
}

test("power and boot device are read back as ipmi_sim wants them", () => {
  assert.deepEqual(command({ ...on, nextBoot: "pxe" }, ["0x20", "get", "power", "boot"]).lines, [
    "power:1",
    "boot:pxe",
  ]);
});

test("what the chassis does not know is an error and changes nothing", () => {
  const answer = command(on, ["0x20", "set", "boot", "floppy"]);
  assert.equal(answer.error, "boot device floppy is not known");
  assert.deepEqual(answer.chassis, on);
});
