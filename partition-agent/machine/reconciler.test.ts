import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type BmcOrder, BmcOrderSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import {
  MachineBMCCommand as Command,
  MachineProvisioningEventType as Event,
  MachineProvisioningEventState as Flag,
  MachineLiveliness,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { hourMs } from "#lib/durations.ts";
import type { Bmc } from "../bmc/bmc.ts";
import {
  imageUrl,
  installed,
  macA,
  observed,
  openAgent,
  settle,
  start,
  type TestAgent,
  TestCentral,
  until,
  uuidA,
  waiting,
} from "../testing/site.ts";
import { fakeBmc, reconcilerOf } from "./testing/reconciler.ts";

const minuteMs = 60_000;

const livelinessOf = (agent: TestAgent): string | undefined =>
  Object.entries(MachineLiveliness).find(([, value]) => value === observed(agent, uuidA).liveliness)?.[0];

test("a machine that is heard is alive; when it falls silent it is dead, at the moment when that is so", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  const { run } = reconcilerOf(agent, undefined);
  await run();
  assert.equal(livelinessOf(agent), "ALIVE");
  agent.clock.advance(5 * minuteMs - 1000);
  const outcome = await run();
  assert.equal(livelinessOf(agent), "ALIVE");
  assert.equal(outcome.recheckAfterMs, 1001);
  agent.clock.advance(1001);
  await run();
  assert.equal(livelinessOf(agent), "DEAD");
});

test("a machine that was ready and fell silent is resurrected as if it were released again: its boot is no crash loop", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  const { bmc, told } = fakeBmc();
  const { run } = reconcilerOf(agent, bmc);
  await run();
  agent.clock.advance(hourMs);
  await run();
  assert.deepEqual(told, []);
  agent.clock.advance(minuteMs);
  await run();
  await run();
  assert.deepEqual(told, ["pxe efi", "cycle"]);
  agent.clock.advance(2 * hourMs);
  await run();
  assert.equal(told.length, 2 + 2, "once more after two hours");
  await agent.script(macA, uuidA, "efi");
  const { events } = observed(agent, uuidA);
  assert.deepEqual(
    events?.events.slice(-3).map(({ event }) => event),
    [Event.MACHINE_RECLAIM, Event.MACHINE_RECLAIM, Event.PXE_BOOTING],
  );
  assert.equal(events?.state, Flag.UNSPECIFIED);
});

test("an allocated machine that falls silent is unknown, not dead: its owner may have stopped the phone-home", async () => {
  const { agent, central } = await start();
  await installed(agent, central);
  const { run } = reconcilerOf(agent, undefined);
  agent.clock.advance(6 * minuteMs);
  await run();
  assert.equal(livelinessOf(agent), "UNKNOWN");
});

test("silence from before the agent listened neither kills nor revives", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  agent.clock.advance(60 * minuteMs);
  const alive = await openAgent(agent);
  const { run } = reconcilerOf(alive, undefined);
  await run();
  assert.equal(livelinessOf(alive), "ALIVE");
  alive.clock.advance(5 * minuteMs + 1);
  await run();
  assert.equal(livelinessOf(alive), "DEAD");
  const again = await openAgent(alive);
  await reconcilerOf(again, undefined).run();
  assert.equal(livelinessOf(again), "DEAD", "a restart is no sign of life");
});

test("a change of liveliness is reported, and a run that finds nothing new writes nothing", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  const { run } = reconcilerOf(agent, undefined);
  await run();
  await settle();
  const { writes } = agent.disk;
  await run();
  await run();
  assert.equal(agent.disk.writes, writes);
  await agent.outbox.acknowledge(agent.outbox.pending(100).at(-1)?.sequence ?? 0n);
  agent.clock.advance(6 * minuteMs);
  await run();
  assert.equal(agent.outbox.size, 1);
});

test("handle-uefi-disk-pxe-persistance: the boot device is set for the firmware that the machine has", async () => {
  for (const [firmware, suffix] of [
    ["efi", " efi"],
    ["pcbios", ""],
  ] as const) {
    const { agent, central } = await start();
    await installed(agent, central);
    await agent.observations.update(uuidA, (m) => {
      m.firmware = firmware;
    });
    const { bmc, told } = fakeBmc();
    await reconcilerOf(agent, bmc).run();
    assert.deepEqual(told, [`disk for good${suffix}`]);
    await central.free(agent, uuidA, 3n);
    await reconcilerOf(agent, bmc).run();
    assert.deepEqual(told.slice(1), [`pxe${suffix}`, "cycle"]);
  }
});

test("the firmware is the one that the machine last booted from the network with", async () => {
  const agent = await openAgent();
  await new TestCentral().connect(agent);
  await agent.observations.update(uuidA, () => {});
  await agent.script(macA, uuidA, "pcbios");
  assert.equal(observed(agent, uuidA).firmware, "pcbios");
  await agent.script(macA, uuidA, "efi");
  assert.equal(observed(agent, uuidA).firmware, "efi");
});

test("an order is carried out once, and is no sign of life", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  const before = observed(agent, uuidA).heardAt;
  agent.clock.advance(1000);
  const deadline = timestampFromMs(agent.clock.wallMs() + minuteMs);
  await central.want(agent, {
    uuid: uuidA,
    partition: "p1",
    epoch: 1n,
    orders: [{ id: "o1", command: Command.MACHINE_BMC_COMMAND_RESET, epoch: 1n, deadline }],
  });
  const { bmc, told } = fakeBmc();
  const { run } = reconcilerOf(agent, bmc);
  await run();
  await run();
  assert.deepEqual(told, ["reset"]);
  assert.deepEqual(observed(agent, uuidA).heardAt, before);
  assert.equal(observed(agent, uuidA).outcomes.at(-1)?.error, "");
});

test("a BMC that does not answer is named in the status, and the machine goes on when it does", async () => {
  const { agent, central } = await start();
  await installed(agent, central);
  const { bmc, state, told } = fakeBmc();
  state.broken = new Error("BMC 10.0.0.9:623: get chassis status: no answer in 5 s");
  const { run } = reconcilerOf(agent, bmc);
  assert.equal((await run()).kind, "wait");
  assert.match(observed(agent, uuidA).progress?.why ?? "", /BMC 10\.0\.0\.9:623: get chassis status: no answer/);
  state.broken = undefined;
  await run();
  assert.deepEqual(told, ["disk for good efi"]);
});

test("an image that is not at hand is the reason in the status, until it is", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  agent.cache.content.set(imageUrl, new Error("image http://images/debian.tar.zst: sha256 abc is wanted, def came"));
  await central.allocate(agent, uuidA, 2n);
  const { run } = reconcilerOf(agent, undefined);
  await run();
  await settle();
  await run();
  assert.match(observed(agent, uuidA).progress?.why ?? "", /sha256 abc is wanted, def came/);
  agent.cache.content.set(imageUrl, "3".repeat(64));
  agent.clock.advance(5000);
  await run();
  await settle();
  await run();
  assert.doesNotMatch(observed(agent, uuidA).progress?.why ?? "", /sha256/);
});

test("a failure of the world is in the status of the machine", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  const { reconciler } = reconcilerOf(agent, undefined);
  await reconciler.failed(uuidA, new Error("switch leaf1 refused"));
  assert.equal(observed(agent, uuidA).progress?.why, "switch leaf1 refused");
});

const order = (agent: TestAgent, id: string, command: Command = Command.MACHINE_BMC_COMMAND_RESET) =>
  create(BmcOrderSchema, { id, command, epoch: 1n, deadline: timestampFromMs(agent.clock.wallMs() + 2 * minuteMs) });

const machineWith = (...orders: readonly BmcOrder[]) => ({
  uuid: uuidA,
  partition: "p1",
  epoch: 1n,
  orders: [...orders],
});

/** The agent hears no more while the BMC does what it was told; another life is opened over what its disk holds. */
async function killedDuring(agent: TestAgent, { bmc, state, told }: ReturnType<typeof fakeBmc>): Promise<TestAgent> {
  state.mute = true;
  void reconcilerOf(agent, bmc).run();
  await until("the BMC was told", () => told.some((one) => ["on", "off", "reset", "cycle"].includes(one)));
  state.mute = false;
  return await openAgent(agent);
}

test("an effect is on the disk before it is begun, with id and epoch, and closed after it", async () => {
  const { agent, central } = await start();
  await installed(agent, central);
  const { bmc, told, state } = fakeBmc();
  const seen: unknown[] = [];
  const watched: Bmc = {
    ...bmc,
    setBootDevice: (boot) => {
      const kept = [...agent.disk.entries("observed")].map(([, bytes]) => fromBinary(MachineObservedSchema, bytes));
      seen.push(kept[0]?.effects.map(({ effect, epoch, endedAt }) => [effect, epoch, endedAt]));
      return bmc.setBootDevice(boot);
    },
  };
  await reconcilerOf(agent, watched).run();
  assert.deepEqual([seen, told.length], [[[["boot-from-disk-next", 2n, undefined]]], 1]);
  const [record] = observed(agent, uuidA).effects;
  assert.deepEqual([record?.error, record?.endedAt !== undefined, record?.opId !== ""], ["", true, true]);
  state.broken = new Error("BMC 10.0.0.9:623: refused");
  await agent.observations.update(uuidA, (m) => {
    m.diskBootEpoch = 0n;
  });
  const { run } = reconcilerOf(agent, { ...bmc, powerState: async () => "on" });
  await assert.rejects(run(), /refused/);
  assert.match(observed(agent, uuidA).effects.at(-1)?.error ?? "", /10\.0\.0\.9:623: refused/);
});

test("a reset that the agent had begun when it was killed is not repeated, and whoever ordered it is told so", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  await central.want(agent, machineWith(order(agent, "o1")));
  const fake = fakeBmc();
  const alive = await killedDuring(agent, fake);
  const { run } = reconcilerOf(alive, fake.bmc);
  await run();
  await run();
  assert.deepEqual(fake.told, ["reset"]);
  const { outcomes, effects } = observed(alive, uuidA);
  assert.match(outcomes.at(-1)?.error ?? "", /may have been carried out, and is not repeated/);
  assert.deepEqual([outcomes.at(-1)?.order?.command, outcomes.at(-1)?.epoch], [Command.MACHINE_BMC_COMMAND_RESET, 1n]);
  assert.deepEqual(
    effects.map(({ opId, endedAt }) => [opId, endedAt !== undefined]),
    [["o1", true]],
  );
});

test("an order to switch off that was begun is done when the machine is off, and not before the BMC was asked", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  await central.want(agent, machineWith(order(agent, "o1", Command.MACHINE_BMC_COMMAND_OFF)));
  const fake = fakeBmc();
  const alive = await killedDuring(agent, fake);
  await reconcilerOf(alive, undefined).run();
  assert.match(observed(alive, uuidA).progress?.why ?? "", /^the BMC, to see whether order off was carried out/);
  assert.deepEqual(observed(alive, uuidA).outcomes, []);
  await reconcilerOf(alive, fake.bmc).run();
  assert.deepEqual([fake.told, observed(alive, uuidA).outcomes.at(-1)?.error], [["off"], ""]);
  assert.ok(observed(alive, uuidA).heldOff);
});

test("a machine that was being reset when the agent was killed is looked at, and not reset again before its time", async () => {
  const { agent, central } = await start();
  await installed(agent, central);
  await central.free(agent, uuidA, 3n);
  const fake = fakeBmc();
  const alive = await killedDuring(agent, fake);
  const { run } = reconcilerOf(alive, fake.bmc);
  await run();
  alive.clock.advance(3 * minuteMs);
  await run();
  assert.deepEqual(fake.told, ["pxe efi", "cycle"]);
  assert.match(
    observed(alive, uuidA).effects.at(-1)?.error ?? "",
    /the agent ended before .*; the machine was found on/,
  );
});

test("an order that was carried out is not repeated when the disk did not take how it ended", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  await central.want(agent, machineWith(order(agent, "o1")));
  const { bmc, told } = fakeBmc();
  const failing: Bmc = {
    ...bmc,
    power: async (action) => {
      await bmc.power(action);
      agent.disk.broken = new Error("no space left on device");
    },
  };
  await assert.rejects(reconcilerOf(agent, failing).run(), /no space left/);
  agent.disk.broken = undefined;
  await reconcilerOf(agent, failing).run();
  assert.deepEqual([told, observed(agent, uuidA).outcomes.length], [["reset"], 1]);
});

test("the outcome of an order is kept as long as the order is told, however many others end", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  const { bmc, told } = fakeBmc();
  const { run } = reconcilerOf(agent, bmc);
  await central.want(agent, machineWith(order(agent, "kept")));
  await run();
  for (let i = 0; i < 20; i++) {
    const led = order(agent, `other-${i}`, Command.MACHINE_BMC_COMMAND_IDENTIFY_LED_ON);
    await central.want(agent, machineWith(order(agent, "kept"), led));
    await run();
  }
  assert.deepEqual(told, ["reset"]);
  assert.equal(observed(agent, uuidA).outcomes.length, 17);
});

test("what is decided is not done on an old look: an agent that stood still looks again, and an order has run out by then", async () => {
  for (const [stillMs, expected] of [
    [1_000, ["look", "reset"]],
    [40_000, ["look", "look", "reset"]],
    [3 * minuteMs, ["look", "look", "look"]],
  ] as const) {
    const { agent, central } = await start();
    await waiting(agent, central);
    await central.want(agent, machineWith(order(agent, "o1")));
    const { bmc } = fakeBmc();
    const asked: string[] = [];
    const watched: Bmc = {
      ...bmc,
      powerState: async () => (asked.push("look"), bmc.powerState()),
      power: async (action) => void asked.push(action),
    };
    agent.disk.hold();
    const { writes } = agent.disk;
    const ran = reconcilerOf(agent, watched).run();
    await until("it is being written down", () => agent.disk.writes > writes);
    agent.clock.advance(stillMs);
    agent.disk.release();
    await ran;
    assert.deepEqual(asked.slice(0, expected.length), expected, `${stillMs} ms`);
    const error = observed(agent, uuidA).outcomes[0]?.error ?? "none";
    assert.match(error, stillMs > 2 * minuteMs ? /its deadline .* has passed, it was / : /^$/);
  }
});
