import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { BmcOrderSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Seeded } from "#lib/seeded.ts";
import { beginEffect, effectRecord, endEffect, openEffects } from "./effect-journal.ts";

const random = new Seeded(1);
const move = { kind: "move-port", port: "swp1", network: "tenant", epoch: 2n } as const;

const orderOf = (command: Command) => {
  const order = create(BmcOrderSchema, { id: "o1", command, epoch: 2n });
  return effectRecord({ kind: "carry-out-order", order }, "carrying out", random);
};

test("an effect has an id of its own, an order's is the order's", () => {
  const [a, b] = [effectRecord(move, "why", random), effectRecord(move, "why", random)];
  assert.notEqual(a.opId, b.opId);
  assert.equal(orderOf(Command.MACHINE_BMC_COMMAND_RESET).opId, "o1");
});

test("an id is not another effect's; an order that is tried again stays the one that it was", () => {
  const m = create(MachineObservedSchema, { uuid: "m" });
  beginEffect(m, orderOf(Command.MACHINE_BMC_COMMAND_RESET), 1);
  endEffect(m, orderOf(Command.MACHINE_BMC_COMMAND_RESET), "the BMC refused", 2);
  beginEffect(m, orderOf(Command.MACHINE_BMC_COMMAND_RESET), 3);
  assert.deepEqual([m.effects.length, openEffects(m).length], [1, 1]);
  const other = orderOf(Command.MACHINE_BMC_COMMAND_OFF);
  assert.throws(() => beginEffect(m, other, 4), /has the id o1 of carry-out-order/);
  assert.throws(() => beginEffect(m, { ...effectRecord(move, "", random), opId: "o1" }, 4), /has the id o1/);
});

test("eight are kept; those that have no end are the last to go", () => {
  const m = create(MachineObservedSchema, { uuid: "m" });
  const first = effectRecord(move, "first", random);
  beginEffect(m, first, 0);
  for (let i = 1; i <= 20; i++) {
    const next = effectRecord(move, `${i}`, random);
    beginEffect(m, next, i);
    endEffect(m, next, "", i);
  }
  assert.deepEqual(
    m.effects.map(({ why }) => why),
    ["first", "14", "15", "16", "17", "18", "19", "20"],
  );
});
