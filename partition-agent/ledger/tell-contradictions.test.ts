import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import { LedgerContradictionsSchema } from "#gen/holdfast/state/v1/ledger_pb.ts";
import { DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { Lifetime } from "#lib/lifetime.ts";
import { silentLog } from "#lib/log.ts";
import { MemoryDisk } from "#lib/memory-disk.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { composeAgent } from "../agent.ts";
import { FakeCache, random, settle } from "../testing/site.ts";

const never = () => new Promise<never>(() => {});

/** One life of an agent that does not reach central. */
async function life(disk: MemoryDisk) {
  const lifetime = new Lifetime(silentLog);
  const settings = {
    partition: "p1",
    url: "http://10.0.0.1:8080",
    newMachines: "power on" as const,
    bmc: { addresses: [], pollMs: 60_000, searchMs: 20_000 },
  };
  const agent = await composeAgent(settings, {
    disk,
    client: {
      follow: () => {
        throw new Error("central is away");
      },
      report: never,
    },
    openCache: async () => new FakeCache(),
    connectBmc: () => {
      throw new Error("there are no BMCs");
    },
    verifyToken: never,
    signer: () => ({ sign: never, verify: never, read: () => undefined, digest: never }),
    lifetime,
    clock: new VirtualClock(),
    random,
    log: silentLog,
  });
  const told = () =>
    agent.outbox
      .pending(10)
      .filter(({ kind }) => kind === "ledger-contradictions")
      .map(({ id, value }) => ({ id, ...fromBinary(LedgerContradictionsSchema, value) }))
      .map(({ id, partition, total, items }) => `${id} ${partition} ${total} ${items.map((i) => i.id).join(" ")}`);
  return { agent, lifetime, told };
}

test("an agent tells central where it was told something else under a revision, in each life, and when that is over", async () => {
  const disk = new MemoryDisk();
  const first = await life(disk);
  const item = (revision: bigint, byte: number) =>
    create(DesiredItemSchema, { kind: "weather", id: "rain", revision, value: Uint8Array.of(byte) });
  const { ledger } = first.agent.site;
  await ledger.applySnapshot({ history: "h", revision: 1n }, [item(1n, 1)]);
  assert.deepEqual(first.told(), []);
  await ledger.applySnapshot({ history: "h", revision: 1n }, [item(1n, 2)]);
  await settle();
  assert.deepEqual(first.told(), ["p1 p1 1 rain"]);
  await first.agent.outbox.acknowledge(first.agent.outbox.sequence);
  await first.lifetime.stop();

  const second = await life(disk);
  second.agent.start();
  await settle();
  assert.deepEqual(second.told(), ["p1 p1 1 rain"], "it may have ended before it told");
  await second.agent.site.ledger.applyDelta(2n, [item(2n, 3)]);
  await settle();
  assert.deepEqual(second.told(), ["p1 p1 0 "]);
  await second.lifetime.stop();
});
