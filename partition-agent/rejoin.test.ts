// The shipped agent over a thousand machines whose desired state changed while it was cut off for a week.
import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type BmcOrder, MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { DesiredItemSchema, FollowResponseSchema, ReportResponseSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { MachineBMCCommand as Command, MachineAllocationSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { Lifetime } from "#lib/lifetime.ts";
import { silentLog } from "#lib/log.ts";
import { MemoryDisk } from "#lib/memory-disk.ts";
import { Seeded } from "#lib/seeded.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { composeAgent } from "./agent.ts";
import { verifyJwt } from "./api/jwt-verifier.ts";
import type { Bmc } from "./bmc/bmc.ts";
import type { SyncClient } from "./link/link.ts";
import { openEffects } from "./machine/effect-journal.ts";
import { FakeCache } from "./testing/site.ts";

const machines = 1_000;
const weekMs = 7 * 24 * 3_600_000;
const answerMs = 100;
/** Machines of one agent that are reconciled at once. */
const atOnceMax = 32;
/** What a BMC said longer ago is no look at the machine. */
const lookMs = 5_000;

const uuidOf = (i: number) => `2f1d2cf4-7f0c-4a58-a2f1-${String(i).padStart(12, "0")}`;
const addressOf = (i: number) => `10.1.${i >> 8}.${i & 255}:623`;
const never = () => new Promise<never>(() => {});

type Desired = MessageInitShape<typeof MachineDesiredSchema>;

/** What happened to machine `i` at central while the link was down. */
function changed(i: number, nowMs: number): Desired {
  const at = { uuid: uuidOf(i), partition: "p1" };
  const allocation = create(MachineAllocationSchema, { project: "x", hostname: `h${i}` });
  const reset = (epoch: bigint, deadlineMs: number) =>
    ({
      id: `o${i}`,
      command: Command.MACHINE_BMC_COMMAND_RESET,
      epoch,
      deadline: timestampFromMs(deadlineMs),
    }) as BmcOrder;
  switch (i % 5) {
    case 0:
    case 1:
      return { ...at, epoch: 3n, orders: [reset(2n, nowMs + 60_000)] };
    case 2:
      return { ...at, epoch: 4n, allocation };
    case 3:
      return { ...at, epoch: 2n, allocation, orders: [reset(2n, nowMs - 3 * 24 * 3_600_000)] };
    default:
      return { ...at, epoch: 2n, allocation, orders: [reset(2n, nowMs + 10 * 60_000)] };
  }
}

/** Power orders that machine `i` may see: what is given back is wiped, and an order that is still good is carried out. */
const powerOf = (i: number): readonly string[] => [["cycle"], ["cycle"], ["cycle"], [], ["reset"]][i % 5] ?? [];

/** What is told of the order to machine `i`. @param wasBegun when the agent was killed */
function toldOf(i: number, wasBegun: boolean): RegExp {
  const done = wasBegun ? /it may have been carried out, and is not repeated/ : /^$/;
  const stale = /given under epoch 2, the machine is at 3/;
  return [stale, stale, /^none$/, /its deadline .* has passed, it was /, done][i % 5] ?? stale;
}

class Rack {
  readonly clock = new VirtualClock();
  readonly done = Array.from({ length: machines }, (): string[] => []);
  readonly #lookedMs = new Map<number, number>();
  #acting = 0;
  actingMost = 0;
  readonly blind: string[] = [];

  /** @param isAlive whether the life of the agent that asks is still there to hear the answer */
  bmc(i: number, isAlive: () => boolean): Bmc & { close(): Promise<void> } {
    const { clock } = this;
    const answer = async <T>(value: T): Promise<T> => {
      await clock.sleep(answerMs);
      return isAlive() ? value : await never();
    };
    const acts = async (what: string) => {
      if (!isAlive()) await never();
      this.done[i]?.push(what);
      if (clock.monotonicMs() - (this.#lookedMs.get(i) ?? -Infinity) > lookMs) this.blind.push(`${i}: ${what}`);
      this.actingMost = Math.max(this.actingMost, ++this.#acting);
      await clock.sleep(answerMs);
      this.#acting--;
      if (!isAlive()) await never();
    };
    const facts = {
      firmware: "1",
      manufacturerId: 0,
      manufacturer: "",
      productId: 0,
      ipmiVersion: "2.0",
      mac: undefined,
    };
    return {
      describe: () => answer({ guid: uuidOf(i), ...facts }),
      powerState: async () => {
        const state = await answer("on" as const);
        this.#lookedMs.set(i, clock.monotonicMs());
        return state;
      },
      power: (action) => acts(action),
      setBootDevice: ({ device }) => acts(`boot from ${device}`),
      bootDevice: () => answer({ device: "disk", persistent: true, efi: true } as const),
      identify: () => acts("identify"),
      close: async () => {},
    };
  }

  power = (i: number): readonly string[] => this.done[i]?.filter((what) => !what.startsWith("boot")) ?? [];

  /** Lets time go by, from one thing that happens to the next. */
  async until(what: string, holds: () => boolean, atMostMs: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + atMostMs;
    for (;;) {
      for (let i = 0; i < 3; i++) await turn();
      if (holds()) return;
      const nextMs = this.clock.nextMs ?? endMs;
      assert.ok(nextMs <= endMs, `not within ${atMostMs} ms: ${what}`);
      this.clock.advance(nextMs - this.clock.monotonicMs());
    }
  }

  async passes(ms: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + ms;
    void this.clock.sleep(ms);
    await this.until("time goes by", () => this.clock.monotonicMs() >= endMs, ms);
  }
}

/** A central that is reached while its link is up, and sends everything whenever somebody comes. */
class Central {
  isUp = true;
  revision = 1n;
  desired: readonly Desired[] = [];
  readonly told = new Map<string, Uint8Array>();
  #cuts = 0;

  cut(): void {
    this.isUp = false;
    this.#cuts++;
  }

  client(clock: VirtualClock, isAlive: () => boolean): SyncClient {
    const { told } = this;
    const central = this;
    const check = () => {
      if (!isAlive() || !central.isUp) throw new Error("central cannot be reached");
    };
    return {
      async *follow(_, signal) {
        check();
        const { revision } = central;
        const cuts = central.#cuts;
        yield create(FollowResponseSchema, { event: { case: "snapshotBegin", value: { history: "h", revision } } });
        const items = central.#items(revision);
        for (let i = 0; i < items.length; i += 500)
          yield create(FollowResponseSchema, {
            event: {
              case: "snapshotItems",
              value: { items: items.slice(i, i + 500).map((item) => toBinary(DesiredItemSchema, item)) },
            },
          });
        yield create(FollowResponseSchema, { event: { case: "snapshotEnd", value: { revision } } });
        for (;;) {
          yield create(FollowResponseSchema, {
            event: { case: "heartbeat", value: { revision, time: timestampFromMs(clock.wallMs()) } },
          });
          await clock.sleep(5_000, signal);
          check();
          if (central.#cuts > cuts) throw new Error("the stream is cut");
        }
      },
      async report({ entries }) {
        check();
        for (const { kind, id, value } of entries) if (kind === "machine") told.set(id, value);
        return create(ReportResponseSchema, { acknowledged: entries.at(-1)?.sequence ?? 0n });
      },
    };
  }

  outcome(i: number) {
    const bytes = this.told.get(uuidOf(i));
    return bytes && fromBinary(MachineObservedSchema, bytes).outcomes[0];
  }

  #items(revision: bigint) {
    const partition = toBinary(PartitionSchema, create(PartitionSchema, { id: "p1" }));
    return [
      create(DesiredItemSchema, { kind: "partition", id: "p1", revision, value: partition }),
      ...this.desired.map((one) => {
        const value = toBinary(MachineDesiredSchema, create(MachineDesiredSchema, one));
        return create(DesiredItemSchema, { kind: "machine", id: one.uuid ?? "", revision, value });
      }),
    ];
  }
}

/** One life of the agent over a disk that outlives it. A killed one never hears, writes or says anything again. */
async function life(rack: Rack, central: Central, disk: MemoryDisk, seed: number) {
  let isAlive = true;
  const lifetime = new Lifetime(silentLog);
  setMaxListeners(0, lifetime.signal);
  const settings = {
    partition: "p1",
    url: "http://10.0.0.1:8080",
    newMachines: "power on" as const,
    bmc: { addresses: Array.from({ length: machines }, (_, i) => addressOf(i)), pollMs: 60_000, searchMs: 20_000 },
  };
  const agent = await composeAgent(settings, {
    disk: {
      identity: disk.identity,
      get: (table, key) => disk.get(table, key),
      entries: (table, prefix) => disk.entries(table, prefix),
      write: async (changes) => (isAlive ? await disk.write(changes) : await never()),
    },
    client: central.client(rack.clock, () => isAlive),
    openCache: async () => new FakeCache(),
    connectBmc: (address) => rack.bmc(settings.bmc.addresses.indexOf(address), () => isAlive),
    verifyToken: verifyJwt,
    signer: () => ({ sign: never, verify: never, read: () => undefined, digest: never }),
    lifetime,
    clock: rack.clock,
    random: new Seeded(seed),
    log: silentLog,
  });
  const kill = async () => {
    isAlive = false;
    void lifetime.stop();
    await turn();
  };
  return { agent, kill };
}

test("after a week's cut a thousand machines are looked at before anything is done, a few at once, and no BMC hears an order twice", async () => {
  const rack = new Rack();
  const central = new Central();
  const disk = new MemoryDisk();
  central.desired = Array.from({ length: machines }, (_, i) => ({
    uuid: uuidOf(i),
    partition: "p1",
    epoch: 2n,
    allocation: create(MachineAllocationSchema, { project: "x", hostname: `h${i}` }),
  }));
  const first = await life(rack, central, disk, 1);
  await Promise.all(
    central.desired.map(({ uuid = "" }) =>
      first.agent.site.observations.update(uuid, (m) => {
        Object.assign(m, {
          heardAt: timestampFromMs(rack.clock.wallMs()),
          boot: "b1",
          workedEpoch: 2n,
          installedEpoch: 2n,
          phonedHomeEpoch: 2n,
          diskBootEpoch: 2n,
        });
      }),
    ),
  );
  first.agent.start();
  await rack.passes(60_000);
  assert.equal(first.agent.link.state.phase, "following");

  central.cut();
  await rack.passes(10_000);
  rack.clock.advance(weekMs);
  await rack.passes(1_000);
  assert.deepEqual(rack.done.flat(), [], "nothing is done to machines that are in use");

  const { cursor } = first.agent.site.ledger;
  central.desired = Array.from({ length: machines }, (_, i) => changed(i, rack.clock.wallMs()));
  central.revision = 1000n;
  central.isUp = true;
  await rack.until("it has heard", () => first.agent.site.ledger.cursor.revision > cursor.revision, 60_000);
  await rack.until("it is in the middle of it", () => rack.done.filter((one) => one.length > 0).length > 300, 60_000);
  await first.kill();
  const begun = new Set(
    [...disk.entries("observed")]
      .filter(([, bytes]) => openEffects(fromBinary(MachineObservedSchema, bytes)).length > 0)
      .map(([uuid]) => uuid),
  );
  assert.ok(begun.size > 0, "it dies in the middle of effects");

  const second = await life(rack, central, disk, 2);
  second.agent.start();
  await rack.passes(60_000);
  central.cut();
  central.isUp = true;
  central.revision = 1001n;
  await rack.passes(90_000);
  assert.equal(second.agent.site.ledger.cursor.revision, 1001n, "all of it was told once more");

  for (let i = 0; i < machines; i++) {
    // Of what was begun nobody knows whether the BMC was told: it is given time to show, or whoever ordered it hears so.
    if (!begun.has(uuidOf(i)) || rack.power(i).length > 0) assert.deepEqual(rack.power(i), powerOf(i), `machine ${i}`);
    const { error = "none", order } = central.outcome(i) ?? {};
    assert.match(error, toldOf(i, begun.has(uuidOf(i))), `machine ${i}`);
    if (error !== "none") assert.equal(order?.id, `o${i}`);
  }
  assert.deepEqual(rack.blind, []);
  assert.ok(rack.actingMost <= atOnceMax, `${rack.actingMost} BMCs were told something at once`);
});
