import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { bmcCommandName } from "#domain/machine/bmc-command.ts";
import { BmcOrderSchema, EffectRecordSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";
import { lookBack } from "./look-back.ts";
import type { MachineFacts } from "./plan.ts";

const on = { state: "on" } as const;
const off = { state: "off" } as const;
const silent = { state: "unknown", why: "no answer in 5 s" } as const;
const unmanaged = { kind: "unmanaged" } as const;

function ofOrder(command: Command, power: MachineFacts["power"], isVoid = false) {
  const order = create(BmcOrderSchema, { id: "o1", command });
  const record = create(EffectRecordSchema, { opId: "o1", effect: "carry-out-order", order });
  return lookBack(record, { power, port: unmanaged, isVoid })?.kind ?? "not seen yet";
}

test("an order of which the former life did not know how it ended: only what is not done, or may be done twice, is done again", () => {
  for (const [command, power, expected] of [
    [Command.MACHINE_BMC_COMMAND_ON, on, "done"],
    [Command.MACHINE_BMC_COMMAND_ON, off, "not-done"],
    [Command.MACHINE_BMC_COMMAND_ON, silent, "not seen yet"],
    [Command.MACHINE_BMC_COMMAND_OFF, off, "done"],
    [Command.MACHINE_BMC_COMMAND_OFF, on, "not-done"],
    [Command.MACHINE_BMC_COMMAND_RESET, on, "in-doubt"],
    [Command.MACHINE_BMC_COMMAND_RESET, silent, "in-doubt"],
    [Command.MACHINE_BMC_COMMAND_CYCLE, off, "in-doubt"],
    [Command.MACHINE_BMC_COMMAND_BOOT_FROM_PXE, on, "in-doubt"],
    [Command.MACHINE_BMC_COMMAND_BOOT_TO_BIOS, on, "in-doubt"],
    [Command.MACHINE_BMC_COMMAND_BOOT_FROM_DISK, silent, "not-done"],
    [Command.MACHINE_BMC_COMMAND_IDENTIFY_LED_ON, silent, "not-done"],
    [Command.MACHINE_BMC_COMMAND_IDENTIFY_LED_OFF, on, "not-done"],
  ] as const)
    assert.equal(ofOrder(command, power), expected, `${bmcCommandName(command)} with ${power.state}`);
});

test("a BMC that is silent until the order is void leaves the order in doubt", () => {
  assert.equal(ofOrder(Command.MACHINE_BMC_COMMAND_ON, silent, true), "in-doubt");
});

test("an effect of the agent's own is closed with what was found, and stays open until something is seen", () => {
  const at = { kind: "at", switch: "leaf1", port: "swp1", network: "tenant" } as const;
  const lost = { kind: "unknown", why: "leaf1 does not answer" } as const;
  for (const [effect, facts, expected] of [
    ["move-port", { power: on, port: at }, /port swp1 of leaf1 was found in tenant/],
    ["move-port", { power: on, port: lost }, undefined],
    ["boot-installer", { power: off, port: lost }, /the machine was found off/],
    ["start-from-disk", { power: silent, port: at }, undefined],
    ["boot-from-disk-next", { power: silent, port: lost }, /it is done again/],
  ] as const) {
    const found = lookBack(create(EffectRecordSchema, { opId: "e1", effect }), { ...facts, isVoid: false });
    if (expected) assert.match((found && "why" in found && found.why) || "", expected);
    else assert.equal(found, undefined, effect);
  }
});
