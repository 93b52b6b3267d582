import assert from "node:assert/strict";
import { test } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { MachineBMCCommand as Command, MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import { silentLog } from "#lib/log.ts";
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
  uuidA,
  waiting,
} from "../testing/site.ts";
import { MachineReconciler } from "./reconciler.ts";

const minuteMs = 60_000;

/** A BMC that does what it is told, and remembers. */
function fakeBmc() {
  const told: string[] = [];
  const state = { power: "on" as "on" | "off", broken: undefined as Error | undefined };
  const check = () => {
    if (state.broken) throw state.broken;
  };
  const bmc: Bmc = {
    describe: () => Promise.reject(new Error("not asked here")),
    async powerState() {
      check();
      return state.power;
    },
    async power(action) {
      check();
      told.push(action);
      state.power = action === "off" ? "off" : "on";
    },
    async setBootDevice({ device, persistent, efi }) {
      check();
      told.push(`${device}${persistent ? " for good" : ""}${efi ? " efi" : ""}`);
    },
    bootDevice: () => Promise.reject(new Error("not asked here")),
    async identify() {},
  };
  return { bmc, told, state };
}

function reconcilerOf(agent: TestAgent, bmc: Bmc | undefined) {
  const reconciler = new MachineReconciler({
    site: agent.site,
    files: agent.files,
    bmcOf: () => bmc,
    ports: { locate: async () => ({ kind: "unmanaged" }), move: async () => {} },
    localOrders: () => [],
    newMachines: "power on",
    listeningSinceMs: agent.clock.wallMs(),
    clock: agent.clock,
    log: silentLog,
  });
  const run = () => reconciler.reconcile(uuidA, new AbortController().signal);
  return { reconciler, run };
}

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
