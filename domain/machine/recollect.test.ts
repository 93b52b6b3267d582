import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { recollected } from "./recollect.ts";

const machine = (init: MessageInitShape<typeof MachineObservedSchema>) => create(MachineObservedSchema, init);
const installed = machine({
  uuid: "m",
  boot: "b2",
  installedEpoch: 4n,
  epoch: 4n,
  hardware: { memory: 1n },
  waiting: true,
});

test("a machine that the agent has forgotten is what central had been told, but holds no stream", () => {
  const now = recollected(undefined, installed);
  assert.deepEqual([now.installedEpoch, now.boot, now.waiting], [4n, "b2", false]);
});

test("what was told later wins over an older record of the same boot", () => {
  assert.equal(recollected(machine({ uuid: "m", boot: "b2", epoch: 2n }), installed).installedEpoch, 4n);
  const heard = (ms: number) => machine({ uuid: "m", boot: "b2", heardAt: timestampFromMs(ms), size: `${ms}` });
  assert.equal(recollected(heard(1), heard(2)).size, "2");
  assert.equal(recollected(heard(2), heard(1)).size, "2");
});

test("a boot that began since is later than all that was told, and keeps the hardware that was told", () => {
  const own = machine({ uuid: "m", boot: "b3", waiting: true });
  const now = recollected(own, installed);
  assert.deepEqual([now.boot, now.installedEpoch, now.waiting, now.hardware?.memory], ["b3", 0n, true, 1n]);
});

test("what only one of both has seen stays, also where neither has heard the machine and nothing tells which is later", () => {
  const at = timestampFromMs(1);
  const own = machine({ uuid: "m", bmcUpdatedAt: at });
  const told = machine({
    uuid: "m",
    rack: "r",
    events: { events: [{ message: "switched on" }] },
    bmc: { address: "b" },
  });
  for (const now of [recollected(own, told), recollected(told, own)])
    assert.deepEqual(
      [now.rack, now.events?.events[0]?.message, now.bmc?.address, now.bmcUpdatedAt],
      ["r", "switched on", "b", at],
    );
});

test("how orders and effects ended is known when either knew it, whichever is the later record", () => {
  const at = timestampFromMs;
  const own = machine({ uuid: "m", boot: "b2", effects: [{ opId: "e1", begunAt: at(1) }], outcomes: [{ id: "o1" }] });
  const told = machine({
    uuid: "m",
    boot: "b2",
    effects: [
      { opId: "e1", begunAt: at(1), endedAt: at(2) },
      { opId: "o2", begunAt: at(3) },
    ],
    outcomes: [{ id: "o2", at: at(3) }],
  });
  for (const now of [recollected(own, told), recollected(told, own)]) {
    assert.deepEqual(
      now.effects.map(({ opId, endedAt }) => [opId, endedAt !== undefined]),
      [
        ["e1", true],
        ["o2", false],
      ],
    );
    assert.deepEqual(
      now.outcomes.map(({ id }) => id),
      ["o1", "o2"],
    );
  }
});
