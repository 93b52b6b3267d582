import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  BmcOrderSchema,
  EffectRecordSchema,
  type MachineDesiredSchema,
  MachineObservedSchema,
} from "#gen/holdfast/state/v1/machine_pb.ts";
import {
  MachineBMCCommand as Command,
  MachineProvisioningEventType as Event,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { anyTime } from "../link/central-time.ts";
import { silentMs } from "./patience.ts";
import { type MachineFacts, planMachine } from "./plan.ts";
import { ago, effectOf, facts, logOf, now, uuid, waiting } from "./testing/facts.ts";

const allocation = { project: "x", networks: [{ network: "tenant-net", networkType: NetworkType.CHILD }] };
const installed = {
  installedEpoch: 2n,
  workedEpoch: 2n,
  events: logOf(...waiting, Event.INSTALLING, Event.BOOTING_NEW_KERNEL)!,
};

test("a free machine in the installer waits for an allocation", () => {
  assert.equal(effectOf(facts({})), "wait: an allocation");
});

test("a machine without a size says which hardware no size matches", () => {
  assert.equal(
    effectOf(facts({ observed: { sizeProblem: "no size matches 3 cores" } })),
    "wait: a size: no size matches 3 cores",
  );
});

test("an allocated machine that waits in the installer is not switched: it fetches its allocation", () => {
  const f = facts({ desired: { epoch: 2n, allocation }, observed: { isolatedEpoch: 2n } });
  assert.equal(effectOf(f), "wait: the installer to fetch its allocation");
});

test("a machine that is off boots into the installer", () => {
  assert.equal(effectOf(facts({ facts: { power: { state: "off" } } })), "boot-installer");
});

test("a new machine that is off is left alone unless the site takes machines in", () => {
  const f = (newMachines: MachineFacts["newMachines"], state: "on" | "off") => {
    const base = facts({ facts: { newMachines, power: { state } } });
    return { ...base, observed: create(MachineObservedSchema, { uuid, isolatedEpoch: 1n }) };
  };
  assert.equal(effectOf(f("power on", "off")), "boot-installer");
  assert.match(effectOf(f("leave alone", "off")), /^wait: a first boot/);
  assert.match(effectOf(f("power on", "on")), /^wait: a first boot/);
});

test("a machine that was switched off by an order stays off, until the epoch changes", () => {
  const off = { heldOff: true, heldOffEpoch: 1n };
  assert.match(effectOf(facts({ observed: off, facts: { power: { state: "off" } } })), /switched off by an order/);
  const later = facts({
    desired: { epoch: 2n },
    observed: { ...off, isolatedEpoch: 2n },
    facts: { power: { state: "off" } },
  });
  assert.equal(effectOf(later), "boot-installer");
});

test("an installed machine: the port moves to the tenant's network, the BMC boots from disk, then it is left alone", () => {
  const base = { desired: { epoch: 2n, allocation }, observed: { ...installed, isolatedEpoch: 2n } };
  const moved = { port: { kind: "at", switch: "leaf1", port: "tap1", network: "tenant-net" } as const };
  assert.equal(effectOf(facts(base)), "move-port");
  assert.equal(effectOf(facts({ ...base, facts: moved })), "boot-from-disk-next");
  const told = { ...base.observed, diskBootEpoch: 2n };
  assert.equal(effectOf(facts({ ...base, observed: told, facts: moved })), "wait: the installed system to phone home");
  const home = { ...told, phonedHomeEpoch: 2n };
  assert.match(effectOf(facts({ ...base, observed: home, facts: moved })), /in use/);
  assert.match(effectOf(facts({ ...base, observed: { ...home, heardAt: ago(1e9) }, facts: moved })), /in use/);
});

test("while the installer says its last word its port is not pulled away", () => {
  const observed = { ...installed, isolatedEpoch: 2n, events: logOf(...waiting, Event.INSTALLING)! };
  assert.match(effectOf(facts({ desired: { epoch: 2n, allocation }, observed })), /last word/);
});

test("an installed system that never phones home is restarted from disk after a while", () => {
  const observed = { ...installed, diskBootEpoch: 2n, heardAt: ago(silentMs + 1000) };
  const f = facts({
    desired: { epoch: 2n, allocation },
    observed,
    facts: { port: { kind: "unmanaged" } },
  });
  assert.equal(effectOf(f), "start-from-disk");
});

test("a release is entered, then the port is isolated and read back, then the machine is reset into the installer", () => {
  const worked = { ...installed, isolatedEpoch: 2n };
  const tenantPort = { port: { kind: "at", switch: "leaf1", port: "tap1", network: "tenant-net" } as const };
  const free = { epoch: 3n };
  assert.equal(effectOf(facts({ desired: free, observed: worked, facts: tenantPort })), "enter-reclaim");
  const entered = { ...worked, reclaimedEpoch: 3n };
  assert.equal(effectOf(facts({ desired: free, observed: entered, facts: tenantPort })), "move-port");
  assert.equal(effectOf(facts({ desired: free, observed: entered })), "note-isolated");
  assert.equal(effectOf(facts({ desired: free, observed: { ...entered, isolatedEpoch: 3n } })), "boot-installer");
});

test("a released machine whose port cannot be seen is not reset", () => {
  const f = facts({
    desired: { epoch: 3n },
    observed: { ...installed, reclaimedEpoch: 3n },
    facts: { port: { kind: "unknown", why: "switch leaf1 does not answer" } },
  });
  assert.match(effectOf(f), /leaf1 does not answer/);
});

test("orders: carried out once, void after their deadline and under another epoch", () => {
  const order = (change: MessageInitShape<typeof BmcOrderSchema>) =>
    create(BmcOrderSchema, {
      id: "o1",
      command: Command.MACHINE_BMC_COMMAND_RESET,
      epoch: 1n,
      deadline: timestampFromMs(now + 1000),
      ...change,
    });
  assert.equal(effectOf(facts({ desired: { orders: [order({})] } })), "carry-out-order");
  assert.equal(effectOf(facts({ desired: { orders: [order({ deadline: ago(1) })] } })), "refuse-order");
  assert.equal(effectOf(facts({ desired: { orders: [order({ epoch: 7n })] } })), "refuse-order");
  assert.equal(
    effectOf(facts({ desired: { orders: [order({})] }, observed: { outcomes: [{ id: "o1" }] } })),
    "wait: an allocation",
  );
});

describe("an order of central's", () => {
  const order = (id: string, leftMs: number, epoch = 1n) =>
    create(BmcOrderSchema, {
      id,
      command: Command.MACHINE_BMC_COMMAND_RESET,
      epoch,
      deadline: timestampFromMs(now + leftMs),
    });
  const at = (
    earliestMs: number,
    latestMs: number,
    orders = [order("o1", 1_000)],
    change: Partial<MachineFacts> = {},
  ) => facts({ desired: { orders }, facts: { centralTime: { earliestMs, latestMs }, ...change } });

  test("goes by central's clock, whatever the agent's shows", () => {
    for (const nowMs of [now - 600_000, now, now + 600_000]) {
      assert.equal(effectOf(at(now, now + 10, undefined, { nowMs })), "carry-out-order");
      assert.equal(effectOf(at(now + 1_001, now + 1_010, undefined, { nowMs })), "refuse-order");
    }
  });

  test("of which it is not known whether its deadline has passed waits, and keeps nothing else from being done", () => {
    for (const f of [at(now, now + 1_001), at(anyTime.earliestMs, anyTime.latestMs)])
      assert.match(effectOf(f), /^wait: an allocation; order reset waits until it is known what time central's clock/);
    const { earliestMs, latestMs } = anyTime;
    const behind = [order("o1", 1_000), order("o2", 60_000)];
    assert.match(effectOf(at(now, now + 1_001, behind)), /^wait: /, "what was ordered later is done later");
    assert.equal(effectOf(at(earliestMs, latestMs, [order("o1", 1_000, 7n)])), "refuse-order");
    const localOrders = [order("site", 1_000)];
    const local = planMachine(at(earliestMs, latestMs, undefined, { localOrders }));
    assert.equal(local.kind === "act" && local.effect.kind === "carry-out-order" && local.effect.order.id, "site");
    assert.equal(effectOf(at(earliestMs, latestMs, undefined, { power: { state: "off" } })), "boot-installer");
  });
});

test("what a former life had begun is looked at before anything else is done; one order that cannot be seen holds the rest up", () => {
  const deadline = timestampFromMs(now + 1000);
  const [on, reset] = [Command.MACHINE_BMC_COMMAND_ON, Command.MACHINE_BMC_COMMAND_RESET].map((command, i) =>
    create(BmcOrderSchema, { id: `o${i}`, command, epoch: 1n, deadline }),
  );
  const observed = { effects: [{ opId: "o0", effect: "carry-out-order", epoch: 1n, order: on! }] };
  const begun = facts({ desired: { orders: [on!, reset!] }, observed });
  assert.equal(effectOf(begun), "close-effect");
  const silent = { ...begun, power: { state: "unknown", why: "no answer" } } as const;
  assert.match(effectOf(silent), /^wait: the BMC, to see whether order on was carried out before the agent ended/);
  const own = facts({ observed: { effects: [{ opId: "e1", effect: "boot-installer", epoch: 1n }] } });
  assert.equal(effectOf(own), "close-effect");
  assert.match(effectOf({ ...own, power: silent.power }), /^wait: the installer works/);
});

test("an order of people on site goes by the same rules, also where central has told nothing of the machine", () => {
  const order = (change: MessageInitShape<typeof BmcOrderSchema>) =>
    create(BmcOrderSchema, {
      id: "o1",
      command: Command.MACHINE_BMC_COMMAND_OFF,
      epoch: 1n,
      deadline: ago(-60_000),
      ...change,
    });
  const given = (...localOrders: ReturnType<typeof order>[]) => facts({ facts: { localOrders } });
  assert.equal(effectOf(given(order({}))), "carry-out-order");
  assert.equal(effectOf(given(order({ deadline: ago(1) }))), "refuse-order");
  assert.equal(effectOf(given(order({ epoch: 0n }))), "refuse-order");
  assert.equal(effectOf({ ...given(order({ epoch: 0n })), desired: undefined }), "carry-out-order");
  const done = facts({ observed: { outcomes: [{ id: "o1" }] }, facts: { localOrders: [order({})] } });
  assert.equal(effectOf(done), "wait: an allocation");
});

test("without a BMC the reason is in the status and nothing is done", () => {
  const f = facts({ facts: { power: { state: "unknown", why: "BMC 10.0.0.9 does not answer" } } });
  assert.match(effectOf(f), /its BMC cannot be asked: BMC 10\.0\.0\.9 does not answer/);
});

test("a machine that works for somebody is left alone while nothing is known of what it is for", () => {
  const off = { power: { state: "off" }, port: { kind: "at", switch: "l", port: "t", network: "tenant-net" } } as const;
  const f = { ...facts({ observed: { ...installed, heardAt: ago(1e9) }, facts: off }), desired: undefined };
  assert.match(effectOf(f), /^wait: central to say what the machine is for: it works for epoch 2/);
});

test("an allocated machine of which the agent has lost its record is left alone, on or off", () => {
  for (const state of ["on", "off"] as const) {
    const base = facts({ desired: { epoch: 2n, allocation }, facts: { power: { state } } });
    const f = { ...base, observed: create(MachineObservedSchema, { uuid }) };
    assert.match(effectOf(f), /^wait: somebody to look: the machine is allocated under epoch 2/);
  }
});

/** In use under epoch 2, and to be installed anew. */
const reinstalled = (
  change: {
    reinstall?: MessageInitShape<typeof MachineDesiredSchema>["reinstall"];
    observed?: MessageInitShape<typeof MachineObservedSchema>;
  },
  more?: Partial<MachineFacts>,
) =>
  facts({
    desired: { epoch: 2n, allocation, reinstall: { number: 1, ...change.reinstall } },
    observed: {
      ...installed,
      installedBoot: "b1",
      isolatedEpoch: 2n,
      diskBootEpoch: 2n,
      phonedHomeEpoch: 2n,
      ...change.observed,
    },
    ...(more && { facts: more }),
  });
const inTenantNet = { port: { kind: "at", switch: "leaf1", port: "tap1", network: "tenant-net" } as const };

test("a machine that is to be reinstalled: its port is moved, then it is reset into the installer, once", () => {
  assert.equal(effectOf(reinstalled({}, inTenantNet)), "move-port");
  assert.equal(effectOf(reinstalled({})), "boot-installer");
  const reset = { powerAttempts: 1, powerActedAt: ago(10_000), phonedHomeEpoch: 0n };
  assert.equal(effectOf(reinstalled({ observed: reset })), "wait: the firmware to boot from the network");
  const events = logOf(Event.PLANNED_REBOOT, Event.PXE_BOOTING, Event.PREPARING, Event.REGISTERING)!;
  const begun = { boot: "b2", phonedHomeEpoch: 0n, events, reinstall: { epoch: 2n, begun: 1 } };
  assert.equal(effectOf(reinstalled({ observed: begun })), "wait: the reinstallation to begin");
});

test("one whose port cannot be seen is not reset for a reinstallation", () => {
  const unseen = { port: { kind: "unknown", why: "the switch is silent" } as const };
  assert.match(effectOf(reinstalled({}, unseen)), /^wait: the machine's switch port/);
});

test("a reinstallation that failed says so, and whether the old system is still there; it is tried again after silence", () => {
  const failed = {
    boot: "b2",
    phonedHomeEpoch: 0n,
    events: logOf(Event.PLANNED_REBOOT, Event.PXE_BOOTING, Event.CRASHED)!,
    lastFailure: "download: no route",
  };
  const whole = reinstalled({ observed: { ...failed, reinstall: { epoch: 2n, begun: 1 } } });
  assert.match(effectOf(whole), /^wait: another try, after: download: no route; the old system is still whole/);
  const over = { ...failed, reinstall: { epoch: 2n, begun: 1, overwritten: 1 } };
  assert.equal(effectOf(reinstalled({ observed: over })), "wait: another try, after: download: no route");
  assert.equal(effectOf(reinstalled({ observed: { ...over, heardAt: ago(silentMs + 1000) } })), "boot-installer");
});

test("an abort in time gives port and disk back to the old system; one before anything was done changes nothing", () => {
  const aborted = { number: 1, aborted: true };
  const idle = reinstalled({ reinstall: aborted }, inTenantNet);
  assert.equal(effectOf(idle), "wait: nothing: the machine is in use; reinstallation 1 was aborted");
  const begun = {
    boot: "b2",
    phonedHomeEpoch: 0n,
    diskBootEpoch: 0n,
    events: logOf(Event.PLANNED_REBOOT, Event.PXE_BOOTING, Event.PREPARING)!,
    reinstall: { epoch: 2n, begun: 1 },
  };
  assert.equal(effectOf(reinstalled({ reinstall: aborted, observed: begun })), "move-port");
  assert.equal(effectOf(reinstalled({ reinstall: aborted, observed: begun }, inTenantNet)), "boot-from-disk-next");
  const told = { ...begun, diskBootEpoch: 2n };
  assert.equal(effectOf(reinstalled({ reinstall: aborted, observed: told }, inTenantNet)), "start-from-disk");
  const started = { ...told, powerAttempts: 1, powerActedAt: ago(1000) };
  assert.match(effectOf(reinstalled({ reinstall: aborted, observed: started }, inTenantNet)), /to phone home$/);
});

test("an abort while the firmware looks for the installer starts the old system at once, and once", () => {
  const aborted = { number: 1, aborted: true };
  const done = (effect: string, error = "") =>
    create(EffectRecordSchema, { effect, epoch: 2n, error, endedAt: ago(500) });
  const switched = {
    phonedHomeEpoch: 0n,
    diskBootEpoch: 0n,
    events: logOf(Event.PLANNED_REBOOT)!,
    powerAttempts: 1,
    powerActedAt: ago(1000),
    effects: [done("move-port"), done("boot-installer"), done("move-port")],
  };
  const effect = (observed: object) => effectOf(reinstalled({ reinstall: aborted, observed }, inTenantNet));
  assert.equal(effect(switched), "boot-from-disk-next");
  const told = { ...switched, diskBootEpoch: 2n };
  assert.equal(effect(told), "start-from-disk");
  assert.equal(
    effect({ ...told, effects: [...told.effects, done("start-from-disk", "no answer")] }),
    "start-from-disk",
  );
  assert.match(effect({ ...told, effects: [...told.effects, done("start-from-disk")] }), /to phone home$/);
  assert.match(effect({ ...told, effects: [...told.effects, done("carry-out-order")] }), /to phone home$/);
});
